//! QUIC over the memory network: the production library, unchanged.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use graticule::world::World;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, EndpointConfig, ServerConfig, TransportConfig,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use crate::testing::{at, host, pair};
use crate::{Host, Recording, Simulation};

const SECOND: Duration = Duration::from_secs(1);

struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

/// One for all runs: its length must not differ between two that are compared.
static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["node.test".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap().der().clone();
    Identity { certificate, key: key.serialize_der() }
});

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(Duration::from_secs(5).try_into().unwrap()));
    transport.keep_alive_interval(Some(SECOND));
    Arc::new(transport)
}

fn server_config() -> ServerConfig {
    let key = PrivatePkcs8KeyDer::from(IDENTITY.key.clone()).into();
    let tls =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![IDENTITY.certificate.clone()], key)
            .unwrap();
    let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(transport());
    config
}

fn client_config() -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(IDENTITY.certificate.clone()).unwrap();
    let tls =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(transport());
    config
}

fn endpoint(world: &World, server: Option<ServerConfig>) -> Endpoint {
    let mut config = EndpointConfig::default();
    let mut seed = [0; 32];
    world.chance.generator().fill_bytes(&mut seed);
    config.rng_seed(Some(seed));
    let socket = world.net.bind_udp(at("0.0.0.0:4433")).unwrap();
    let runtime = Arc::new(quinn::TokioRuntime);
    let mut endpoint = Endpoint::new_with_abstract_socket(config, server, socket, runtime).unwrap();
    endpoint.set_default_client_config(client_config());
    endpoint
}

/// Answers every stream with the number of bytes that came on it.
fn serve(host: &Host) {
    let endpoint = endpoint(&host.world(), Some(server_config()));
    spawn_local(async move {
        while let Some(incoming) = endpoint.accept().await {
            spawn_local(async move {
                let Ok(connection) = incoming.await else { return };
                while let Ok((mut answer, mut question)) = connection.accept_bi().await {
                    let Ok(bytes) = question.read_to_end(10_000_000).await else { continue };
                    let _ = answer.write_all(&bytes.len().to_be_bytes()).await;
                    let _ = answer.finish();
                }
            });
        }
    });
}

async fn dial(endpoint: &Endpoint) -> Result<Connection, ConnectionError> {
    endpoint.connect(at("10.0.0.2:4433"), "node.test").unwrap().await
}

/// Sends so many bytes and returns how many the server says it got.
async fn upload(connection: &Connection, bytes: usize) -> usize {
    let (mut question, mut answer) = connection.open_bi().await.unwrap();
    question.write_all(&vec![7; bytes]).await.unwrap();
    question.finish().unwrap();
    let counted = answer.read_to_end(8).await.unwrap();
    usize::from_be_bytes(counted.try_into().unwrap())
}

#[test]
fn quic_sees_a_cut_at_its_idle_limit_and_connects_again_after_the_repair() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 40);
        serve(&server);
        let endpoint = endpoint(&client.world(), None);
        let connection = dial(&endpoint).await.unwrap();
        assert_eq!(upload(&connection, 1_000).await, 1_000);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(connection.close_reason(), None, "keep-alives cross the network");

        let cut_at = Instant::now();
        simulation.shape(&server, &client, |link| link.cut = true);
        assert_eq!(connection.closed().await, ConnectionError::TimedOut);
        let noticed = cut_at.elapsed();
        // RFC 9000, 10.1: the limit runs from the first packet that got no answer, a keep-alive of 1 s at the latest.
        assert!((4.0..6.1).contains(&noticed.as_secs_f64()), "{noticed:?} after one direction was cut");
        assert_eq!(dial(&endpoint).await.unwrap_err(), ConnectionError::TimedOut);

        simulation.shape(&server, &client, |link| link.cut = false);
        let again = dial(&endpoint).await.unwrap();
        assert_eq!(upload(&again, 1_000).await, 1_000);
    })
    .unwrap();
}

#[test]
fn quic_carries_a_transfer_through_heavy_loss() {
    let lost = Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        simulation.shape_both(&client, &server, |link| {
            link.loss = 0.2;
            link.jitter = Duration::from_millis(4);
        });
        serve(&server);
        let endpoint = endpoint(&client.world(), None);
        let connection = dial(&endpoint).await.unwrap();
        simulation.record();
        assert_eq!(upload(&connection, 200_000).await, 200_000);
        let crossings = simulation.recorded().crossings;
        let lost = crossings.iter().filter(|crossing| crossing.arrives.is_none()).count();
        lost as f64 / crossings.len() as f64
    });
    let lost = lost.unwrap();
    assert!((0.1..0.3).contains(&lost), "{lost}");
}

#[test]
fn quic_crosses_an_ocean_in_one_round_trip_for_its_handshake() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 45);
        serve(&server);
        let endpoint = endpoint(&client.world(), None);
        let connection = dial(&endpoint).await.unwrap();
        let taken = simulation.elapsed().as_millis();
        assert!((90..=92).contains(&taken), "{taken} ms");
        assert!((90..=92).contains(&connection.rtt().as_millis()), "{:?}", connection.rtt());
    })
    .unwrap();
}

#[test]
fn quic_hears_nothing_of_a_crash_and_is_told_after_the_restart() {
    Simulation::run(1, |simulation| async move {
        let (client, server) = pair(&simulation, 10);
        serve(&server);
        let endpoint = endpoint(&client.world(), None);
        let connection = dial(&endpoint).await.unwrap();
        server.crash();
        assert!(timeout(2 * SECOND, connection.closed()).await.is_err());
        assert_eq!(connection.closed().await, ConnectionError::TimedOut);
        server.start();
        serve(&server);
        let again = dial(&endpoint).await.unwrap();
        assert_eq!(upload(&again, 10).await, 10);
    })
    .unwrap();
}

/// Every datagram of a small mesh under loss and jitter.
fn trace(seed: u64) -> Recording {
    Simulation::run(seed, |simulation| async move {
        let hosts: Vec<_> = (1..=3).map(|number| host(&simulation, number)).collect();
        for (one, other) in [(0, 1), (1, 2), (0, 2)] {
            simulation.shape_both(&hosts[one], &hosts[other], |link| {
                link.latency = Duration::from_millis(20);
                link.jitter = Duration::from_millis(10);
                link.loss = 0.05;
            });
        }
        simulation.record();
        serve(&hosts[1]);
        let uploads = [&hosts[0], &hosts[2]].map(|host| {
            let endpoint = endpoint(&host.world(), None);
            spawn_local(async move {
                let connection = dial(&endpoint).await.unwrap();
                for bytes in [100, 50_000, 1] {
                    assert_eq!(upload(&connection, bytes).await, bytes);
                }
            })
        });
        for upload in uploads {
            upload.await.unwrap();
        }
        simulation.recorded()
    })
    .unwrap()
}

#[test]
fn the_same_seed_gives_the_same_datagrams_and_another_seed_others() {
    let first = trace(7);
    assert!(first.crossings.len() > 100, "{} datagrams", first.crossings.len());
    assert_eq!(trace(7), first);
    assert_ne!(trace(8), first);
}
