//! Two real QUIC endpoints on loopback: who gets a tunnel, and what both ends say of who does not.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use quinn::{ClientConfig, ConnectionError, Endpoint, EndpointConfig, TokioRuntime};
use rcgen::{ExtendedKeyUsagePurpose, SanType, date_time_ymd};

use super::ca::{Authority, Issued};
use super::testing::*;
use super::*;

/// What each end of a connection attempt ended with: whom it sees, or its error's text.
#[derive(Debug)]
struct Outcome {
    dialler: Result<String, String>,
    acceptor: Result<String, String>,
    /// Whether the dialler's `connect` succeeded, whatever came after.
    connected: bool,
}

impl Outcome {
    /// Asserts that both ends failed and that both say `reason`.
    fn assert_refused(&self, reason: &str) {
        for end in [&self.dialler, &self.acceptor] {
            let text = end.as_ref().expect_err("a refused peer has no connection");
            assert!(text.contains(reason), "expected `{reason}` in `{text}`");
        }
    }

    fn assert_tunnel(&self, dialler: &str, acceptor: &str) {
        assert_eq!(self.dialler.as_deref(), Ok(acceptor));
        assert_eq!(self.acceptor.as_deref(), Ok(dialler));
    }
}

fn endpoint(server: Option<quinn::ServerConfig>) -> Endpoint {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let socket = World::system().net.bind_udp(loopback).unwrap();
    Endpoint::new_with_abstract_socket(EndpointConfig::default(), server, socket, Arc::new(TokioRuntime))
        .unwrap()
}

async fn dial(dialler: &Identity, acceptor: &Identity, expect: Expect) -> Outcome {
    let server = endpoint(Some(acceptor.server_config().unwrap()));
    attempt(dialler.client_config(expect).unwrap(), &server).await
}

async fn attempt(config: ClientConfig, server: &Endpoint) -> Outcome {
    let client = endpoint(None);
    let dialling = client.connect_with(config, server.local_addr().unwrap(), SERVER_NAME).unwrap();
    let accepting = async { server.accept().await.unwrap().await };
    let (dialler, acceptor) = tokio::join!(dialling, accepting);
    let connected = dialler.is_ok();
    let dialler = match (dialler, &acceptor) {
        (Ok(connection), Err(_)) => Err(connection.closed().await),
        (other, _) => other,
    };
    Outcome { dialler: seen(dialler), acceptor: seen(acceptor), connected }
}

/// A tunnel that both ends have, and the dialler's endpoint that must outlive it.
async fn tunnel(config: ClientConfig, server: &Endpoint) -> (Endpoint, quinn::Connection, quinn::Connection) {
    let client = endpoint(None);
    let dialling = client.connect_with(config, server.local_addr().unwrap(), SERVER_NAME).unwrap();
    let (near, far) = tokio::join!(dialling, async { server.accept().await.unwrap().await });
    (client, near.unwrap(), far.unwrap())
}

async fn carry(from: &quinn::Connection, to: &quinn::Connection, bytes: &[u8]) {
    let mut sending = from.open_uni().await.unwrap();
    sending.write_all(bytes).await.unwrap();
    sending.finish().unwrap();
    assert_eq!(to.accept_uni().await.unwrap().read_to_end(bytes.len()).await.unwrap(), bytes);
}

fn seen(end: Result<quinn::Connection, ConnectionError>) -> Result<String, String> {
    end.map(|connection| Identity::peer(&connection).unwrap().to_string()).map_err(|error| error.to_string())
}

const A: &str = "spiffe://atlas/region/eu/node/a";
const B: &str = "spiffe://atlas/region/us/node/b";

fn expect(node: &str, region: &str) -> Expect {
    Expect::node(node.parse().unwrap(), region.parse().unwrap())
}

#[tokio::test]
async fn nodes_of_one_mesh_see_each_others_names() {
    let authority = authority("atlas");
    let (a, b) = (identity(&authority, "eu", "a"), identity(&authority, "us", "b"));
    dial(&a, &b, Expect::ANY).await.assert_tunnel(A, B);
    dial(&a, &b, expect("b", "us")).await.assert_tunnel(A, B);
    let region_only = Expect { node: None, region: Some("us".parse().unwrap()) };
    dial(&a, &b, region_only).await.assert_tunnel(A, B);
}

#[tokio::test]
async fn bytes_cross_and_the_tunnel_speaks_our_protocol() {
    let authority = authority("atlas");
    let (a, b) = (identity(&authority, "eu", "a"), identity(&authority, "us", "b"));
    let server = endpoint(Some(b.server_config().unwrap()));
    let (_client, near, far) = tunnel(a.client_config(Expect::ANY).unwrap(), &server).await;
    let data = near.handshake_data().unwrap().downcast::<quinn::crypto::rustls::HandshakeData>().unwrap();
    assert_eq!(data.protocol.as_deref(), Some(&b"graticule/1"[..]));
    carry(&near, &far, b"hello").await;
    carry(&far, &near, b"world").await;
}

#[tokio::test]
async fn a_node_of_another_authority_is_refused() {
    let (ours, theirs) = (authority("atlas"), authority("zeus"));
    let (a, z) = (identity(&ours, "eu", "a"), identity(&theirs, "eu", "z"));
    let reason = "spiffe://zeus/region/eu/node/z refused: no trusted authority issued it";
    dial(&a, &z, Expect::ANY).await.assert_refused(reason);
    // The dialled end cannot be reached by a dialler that trusts everybody either.
    let bundle = [ours.certificate(), theirs.certificate()].concat();
    let (_machine, trusting) = node_of(&issued(&theirs, "eu", "z"), &bundle);
    let (_machine, lenient) = node_of(
        &odd(&theirs, |params| {
            params.subject_alt_names = vec![uri("spiffe://atlas/region/eu/node/z")];
        }),
        &bundle,
    );
    dial(&trusting, &a, Expect::ANY).await.assert_refused("it is of another mesh than `zeus`");
    dial(&lenient, &a, Expect::ANY).await.assert_refused("node/z refused: no trusted authority issued it");
}

#[tokio::test]
async fn another_mesh_under_a_trusted_authority_is_refused_by_both_ends() {
    let authority = authority("atlas");
    let a = identity(&authority, "eu", "a");
    let stranger = odd(&authority, |params| {
        params.subject_alt_names = vec![uri("spiffe://zeus/region/eu/node/z")];
    });
    let (_machine, z) = node_of(&stranger, authority.certificate());
    let reason = "spiffe://zeus/region/eu/node/z refused: it is of another mesh than `atlas`";
    dial(&a, &z, Expect::ANY).await.assert_refused(reason);
    let reason = "spiffe://atlas/region/eu/node/a refused: it is of another mesh than `zeus`";
    dial(&z, &a, Expect::ANY).await.assert_refused(reason);
}

#[tokio::test]
async fn a_key_that_poses_as_the_authority_is_refused() {
    let (ours, other) = (authority("atlas"), authority("atlas"));
    let forged = odd_signed_by(&ours, &other.key(), |_| {});
    let reason = "no trusted authority issued it (one has the issuer's name, but another key)";
    attempt_with(&forged, &identity(&ours, "eu", "a")).await.assert_refused(reason);
}

#[tokio::test]
async fn a_dialler_refuses_another_node_or_region_than_it_expected() {
    let authority = authority("atlas");
    let (a, b) = (identity(&authority, "eu", "a"), identity(&authority, "us", "b"));
    let outcome = dial(&a, &b, expect("c", "us")).await;
    outcome.assert_refused("certificate of spiffe://atlas/region/us/node/b refused: expected node `c`");
    let outcome = dial(&a, &b, expect("b", "eu")).await;
    outcome.assert_refused("certificate of spiffe://atlas/region/us/node/b refused: expected region `eu`");
    assert!(!outcome.connected, "the dialler's own check is before its handshake completes");
}

#[tokio::test]
async fn expired_certificates_are_refused_by_the_clock_of_the_world() {
    let authority = authority("atlas");
    let (machine, a) = node_of(&issued(&authority, "eu", "a"), authority.certificate());
    let b = identity(&authority, "us", "b");
    machine.clock.set(today() + 89 * DAY);
    dial(&a, &b, Expect::ANY).await.assert_tunnel(A, B);
    machine.clock.set(today() + 91 * DAY);
    let reason = "node/b refused: it expired at 2027-02-21T00:00:00Z, and the clock of the node that checked says \
                  2027-02-22T00:00:00Z";
    dial(&a, &b, Expect::ANY).await.assert_refused(reason);
    let outcome = dial(&b, &a, Expect::ANY).await;
    outcome.assert_refused("node/b refused: it expired at 2027-02-21T00:00:00Z");
}

#[tokio::test]
async fn certificates_that_are_not_valid_yet_are_refused() {
    let authority = authority("atlas");
    let early = odd(&authority, |params| params.not_before = date_time_ymd(2026, 12, 1));
    let machine = Machine::new();
    machine.clock.set(today() + 30 * DAY);
    machine.write(&early, authority.certificate());
    let early = machine.load().unwrap();
    let a = identity(&authority, "eu", "a");
    let reason = "node/odd refused: it is not valid before 2026-12-01T00:00:00Z, and the clock of the node that checked \
                  says 2026-11-23T00:00:00Z";
    dial(&a, &early, Expect::ANY).await.assert_refused(reason);
    dial(&early, &a, Expect::ANY).await.assert_refused(reason);
}

#[tokio::test]
async fn an_authority_that_has_expired_is_none() {
    let (old, new) = (Authority::create(&"atlas".parse().unwrap(), 30, today()).unwrap(), authority("atlas"));
    let bundle = [old.certificate(), new.certificate()].concat();
    let outliving = odd(&old, |params| params.not_after = date_time_ymd(2027, 6, 1));
    let (_machine, outliving) = node_of(&outliving, &bundle);
    let (machine, a) = node_of(&issued(&new, "eu", "a"), &bundle);
    machine.clock.set(today() + 29 * DAY);
    assert!(dial(&outliving, &a, Expect::ANY).await.acceptor.is_ok());
    machine.clock.set(today() + 31 * DAY);
    let reason = "no trusted authority issued it (1 in the bundle expired or not yet valid)";
    dial(&outliving, &a, Expect::ANY).await.assert_refused(reason);
    dial(&a, &outliving, Expect::ANY).await.assert_refused(reason);
}

/// A signed certificate with other names, and what is said of it.
fn misnamed() -> [(Vec<SanType>, &'static str); 5] {
    let good = || uri("spiffe://atlas/region/eu/node/odd");
    [
        (vec![], "it has no URI among its names"),
        (vec![SanType::DnsName("odd.example".try_into().unwrap())], "it has no URI among its names"),
        (vec![good(), good()], "it has several URIs among its names"),
        (vec![good(), uri("https://example.org/")], "it has several URIs among its names"),
        (vec![uri("spiffe://atlas/node/odd")], "its URI is no node's name"),
    ]
}

#[tokio::test]
async fn a_certificate_without_exactly_one_name_of_our_form_is_refused() {
    let authority = authority("atlas");
    let a = identity(&authority, "eu", "a");
    for (names, reason) in misnamed() {
        let misnamed = odd(&authority, |params| params.subject_alt_names = names);
        attempt_with(&misnamed, &a).await.assert_refused(reason);
        let machine = Machine::new();
        machine.write(&misnamed, authority.certificate());
        assert!(machine.load().unwrap_err().to_string().contains(reason));
    }
}

#[tokio::test]
async fn other_names_beside_the_one_uri_do_no_harm() {
    let authority = authority("atlas");
    let names = vec![uri(A), SanType::DnsName("a.example".try_into().unwrap())];
    let issued = odd(&authority, |params| params.subject_alt_names = names);
    let (_machine, a) = node_of(&issued, authority.certificate());
    dial(&a, &identity(&authority, "us", "b"), Expect::ANY).await.assert_tunnel(A, B);
}

#[tokio::test]
async fn a_certificate_for_servers_only_is_refused_from_a_dialler() {
    let authority = authority("atlas");
    let a = identity(&authority, "eu", "a");
    let server_only =
        odd(&authority, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    attempt_with(&server_only, &a).await.assert_refused("not issued for this end of a tunnel");
}

#[tokio::test]
async fn an_authority_cannot_pose_as_a_node_nor_a_node_as_an_authority() {
    let authority = authority("atlas");
    let a = identity(&authority, "eu", "a");
    let own =
        Issued { certificate: authority.certificate().to_owned(), key: authority.key(), not_after: today() };
    attempt_with(&own, &a).await.assert_refused("CaUsedAsEndEntity");
    // What a node signs with its own key is worth nothing, though it hands the whole chain over.
    let sub = issued(&authority, "eu", "sub");
    let sub_key = rcgen::KeyPair::from_pem(&sub.key).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&sub.certificate, sub_key).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names = vec![uri("spiffe://atlas/region/eu/node/forged")];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let leaf = params.signed_by(&key, &issuer).unwrap();
    let chain =
        Issued { certificate: leaf.pem() + &sub.certificate, key: key.serialize_pem(), not_after: today() };
    attempt_with(&chain, &a).await.assert_refused("EndEntityUsedAsCa");
}

/// Dials with a certificate that an honest node would not load.
async fn attempt_with(issued: &Issued, acceptor: &Identity) -> Outcome {
    let chain = pem::certificates("x".as_ref(), issued.certificate.as_bytes(), 8, "").unwrap();
    let key = pem::key("x".as_ref(), issued.key.as_bytes(), "").unwrap();
    let config =
        hostile(acceptor, b"graticule/1", |builder| builder.with_client_auth_cert(chain, key).unwrap());
    attempt(config, &endpoint(Some(acceptor.server_config().unwrap()))).await
}

type WantsCertificate = rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert>;

fn hostile(
    trusting: &Identity,
    protocol: &[u8],
    certificate: impl FnOnce(WantsCertificate) -> rustls::ClientConfig,
) -> ClientConfig {
    let verifier = PeerVerifier::new(trusting.clone(), Expect::ANY);
    let clock = Arc::new(tls::WallClock(Arc::clone(&trusting.0.world.clock)));
    let builder = rustls::ClientConfig::builder_with_details(tls::provider(), clock)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = certificate(builder);
    config.alpn_protocols = vec![protocol.to_vec()];
    ClientConfig::new(Arc::new(quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap()))
}

#[tokio::test]
async fn a_dialler_without_a_certificate_is_refused() {
    let a = identity(&authority("atlas"), "eu", "a");
    let config = hostile(&a, b"graticule/1", WantsCertificate::with_no_client_auth);
    let outcome = attempt(config, &endpoint(Some(a.server_config().unwrap()))).await;
    outcome.assert_refused("peer sent no certificates");
}

#[tokio::test]
async fn another_protocol_is_refused() {
    let a = identity(&authority("atlas"), "eu", "a");
    let config = hostile(&a, b"h3", WantsCertificate::with_no_client_auth);
    let outcome = attempt(config, &endpoint(Some(a.server_config().unwrap()))).await;
    outcome.assert_refused("peer doesn't support any known protocol");
}

#[tokio::test]
async fn the_dialler_may_be_done_before_it_is_refused() {
    let (ours, theirs) = (authority("atlas"), authority("atlas"));
    let a = identity(&ours, "eu", "a");
    let bundle = [ours.certificate(), theirs.certificate()].concat();
    let (_machine, z) = node_of(&issued(&theirs, "eu", "z"), &bundle);
    let outcome = dial(&z, &a, Expect::ANY).await;
    assert!(outcome.connected, "TLS 1.3: the dialler needs no answer to its certificate");
    outcome.assert_refused(
        "certificate of spiffe://atlas/region/eu/node/z refused: no trusted authority issued it",
    );
}

#[tokio::test]
async fn the_reason_fits_with_the_longest_names() {
    let longest = |letter: &str| letter.repeat(63);
    let authority = authority(&longest("m"));
    let (region, node) = (longest("r"), longest("n"));
    let (machine, a) = node_of(&issued(&authority, &region, &node), authority.certificate());
    let b = identity(&authority, &region, &longest("b"));
    let reason = format!("{} refused: expected region `{}`", b.own(), longest("x"));
    dial(&a, &b, expect(&longest("b"), &longest("x"))).await.assert_refused(&reason);
    machine.clock.set(today() + 91 * DAY);
    dial(&b, &a, Expect::ANY)
        .await
        .assert_refused("and the clock of the node that checked says 2027-02-22T00:00:00Z");
}

#[tokio::test]
async fn a_refusal_after_the_handshake_tells_its_reason() {
    let authority = authority("atlas");
    let (a, b) = (identity(&authority, "eu", "a"), identity(&authority, "us", "b"));
    let server = endpoint(Some(b.server_config().unwrap()));
    let (_client, near, far) = tunnel(a.client_config(Expect::ANY).unwrap(), &server).await;
    refusal::REVOKED.close(&far);
    let error = near.closed().await;
    assert_eq!(refusal::Refusal::of(&error), Some(refusal::REVOKED));
    assert!(error.to_string().contains("the fleet document revokes this node"), "{error}");
    assert_eq!(refusal::Refusal::of(&ConnectionError::TimedOut), None);
}

#[tokio::test]
async fn a_reload_serves_new_handshakes_with_the_old_configurations() {
    let authority = authority("atlas");
    let (machine, b) = node_of(&issued(&authority, "us", "b"), authority.certificate());
    let a = identity(&authority, "eu", "a");
    let (config, server) =
        (a.client_config(Expect::ANY).unwrap(), endpoint(Some(b.server_config().unwrap())));
    let before = b.own().serial;
    for round in 0..2 {
        let (_client, near, _far) = tunnel(config.clone(), &server).await;
        let shown = Identity::peer(&near).unwrap().serial;
        assert_eq!(shown == before, round == 0);
        assert_eq!(shown, b.own().serial);
        assert_eq!(b.reload(), Ok(Reloaded::Unchanged));
        machine.write(&issued(&authority, "us", "b"), authority.certificate());
        assert_eq!(b.reload(), Ok(Reloaded::Changed));
    }
}

/// One authority replaces another without a moment in which two nodes cannot talk.
#[tokio::test]
async fn authorities_are_replaced_one_step_at_a_time() {
    let (old, new) = (authority("atlas"), authority("atlas"));
    let both = [old.certificate(), new.certificate()].concat();
    let (machine_a, a) = node_of(&issued(&old, "eu", "a"), old.certificate());
    let (machine_b, b) = node_of(&issued(&old, "us", "b"), old.certificate());
    let server = endpoint(Some(b.server_config().unwrap()));
    let config = a.client_config(Expect::ANY).unwrap();
    let steps: [(&Machine, &Identity, &str, &str); 6] = [
        (&machine_a, &a, "ca.pem", &both),
        (&machine_b, &b, "ca.pem", &both),
        (&machine_a, &a, "node", "eu/a"),
        (&machine_b, &b, "node", "us/b"),
        (&machine_a, &a, "ca.pem", new.certificate()),
        (&machine_b, &b, "ca.pem", new.certificate()),
    ];
    for (machine, identity, what, value) in steps {
        match value.split_once('/').filter(|_| what == "node") {
            Some((region, node)) => drop(machine.write(&issued(&new, region, node), &both)),
            None => machine.disk.put(what, value),
        }
        assert_eq!(identity.reload(), Ok(Reloaded::Changed));
        attempt(config.clone(), &server).await.assert_tunnel(A, B);
    }
    let (_machine, late) = node_of(&issued(&old, "eu", "late"), &both);
    attempt(late.client_config(Expect::ANY).unwrap(), &server)
        .await
        .assert_refused("no trusted authority issued it");
}

#[tokio::test]
async fn an_authority_that_is_taken_out_lets_nobody_in_who_was_in_before() {
    let (old, new) = (authority("atlas"), authority("atlas"));
    let both = [old.certificate(), new.certificate()].concat();
    let (_machine, a) = node_of(&issued(&old, "eu", "a"), &both);
    let (machine, b) = node_of(&issued(&new, "us", "b"), &both);
    let (config, server) =
        (a.client_config(Expect::ANY).unwrap(), endpoint(Some(b.server_config().unwrap())));
    let (_client, near, far) = tunnel(config.clone(), &server).await;
    // What comes with a stream comes after a ticket to resume the session, if there were one.
    carry(&far, &near, b"hello").await;
    machine.disk.put("ca.pem", new.certificate());
    assert_eq!(b.reload(), Ok(Reloaded::Changed));
    attempt(config, &server).await.assert_refused("no trusted authority issued it");
}

#[test]
fn a_reload_that_fails_keeps_what_was_good() {
    let authority = authority("atlas");
    let (machine, a) = node_of(&issued(&authority, "eu", "a"), authority.certificate());
    let before = a.own();
    let renewed = issued(&authority, "eu", "a");
    // The certificate is there before its key: an error for as long as that lasts.
    machine.disk.put("node.pem", &renewed.certificate);
    let error = a.reload().unwrap_err();
    assert!(error.to_string().starts_with("node.key: is not the key of node.pem"), "{error}");
    assert_eq!(a.reload(), Err(error));
    assert_eq!(a.own(), before);
    machine.disk.put("node.key", &renewed.key);
    assert_eq!(a.reload(), Ok(Reloaded::Changed));
    assert_ne!(a.own().serial, before.serial);
    machine.disk.remove("ca.pem");
    assert!(a.reload().unwrap_err().to_string().starts_with("ca.pem: cannot be read"));
    assert!(a.own().same_name(&before));
}

#[test]
fn a_running_node_keeps_its_name() {
    let authority = authority("atlas");
    let (machine, a) = node_of(&issued(&authority, "eu", "a"), authority.certificate());
    for (region, node) in [("us", "a"), ("eu", "b")] {
        machine.write(&issued(&authority, region, node), authority.certificate());
        let error = a.reload().unwrap_err().to_string();
        let names = format!("names spiffe://atlas/region/{region}/node/{node}, but this node runs as {A}");
        assert!(error.contains(&names), "{error}");
        assert_eq!(a.own().to_string(), A);
    }
}

#[test]
fn an_expiry_is_a_value() {
    let a = identity(&authority("atlas"), "eu", "a");
    assert_eq!(a.not_after(), today() + 90 * DAY);
    assert_eq!(a.expires_in(today() + 89 * DAY), DAY);
    assert_eq!(a.expires_in(today() + 91 * DAY), Duration::ZERO);
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_what_to_do() {
    let authority = authority("atlas");
    let good = issued(&authority, "eu", "a");
    let other = issued(&authority, "eu", "b");
    let expired = odd(&authority, |params| params.not_after = date_time_ymd(2026, 11, 1));
    let huge = "x".repeat(300_000);
    let label_only = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    for (file, contents, problem) in [
        ("node.pem", "", "is empty; issue certificate and key"),
        ("node.key", "", "is empty; issue certificate and key"),
        ("ca.pem", "", "is empty; put the ca.pem"),
        ("node.pem", "hello", "holds no certificate in PEM form"),
        ("node.key", "hello", "holds no private key in PEM form"),
        ("ca.pem", "hello", "holds no certificate in PEM form"),
        (
            "node.pem",
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
            "is not well-formed PEM",
        ),
        ("node.pem", label_only, "it cannot be read as an X.509 certificate"),
        ("ca.pem", label_only, "certificate 1 is not one of an authority"),
        ("node.pem", &good.key, "holds no certificate in PEM form"),
        ("node.key", &good.certificate, "holds no private key in PEM form"),
        ("ca.pem", &good.certificate, "certificate 1 is not one of an authority"),
        ("node.key", &other.key, "is not the key of node.pem"),
        ("node.pem", &huge, "cannot be read"),
        ("ca.pem", &authority.certificate().repeat(33), "holds more than 32 certificates"),
        ("node.pem", &good.certificate.repeat(9), "holds more than 8 certificates"),
    ] {
        let machine = Machine::new();
        machine.write(&good, authority.certificate());
        machine.disk.put(file, contents);
        let error = machine.load().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{file}: ")) && error.contains(problem), "{problem}: {error}");
    }
    let machine = Machine::new();
    machine.write(&expired, authority.certificate());
    assert!(machine.load().unwrap_err().to_string().contains("node.pem: refused: it expired at 2026-11-01"));
    machine.write(&good, super::testing::authority("atlas").certificate());
    assert!(machine.load().unwrap_err().to_string().contains("refused: no trusted authority issued it"));
}

/// Every prefix of every file is an error or, once it is whole, the identity; never a panic, and never a key in a text.
#[test]
fn torn_files_are_errors() {
    let authority = authority("atlas");
    let good = issued(&authority, "eu", "a");
    let secret = good.key.lines().nth(1).unwrap();
    let machine = Machine::new();
    for (file, contents) in [
        ("node.pem", good.certificate.as_str()),
        ("node.key", &good.key),
        ("ca.pem", authority.certificate()),
    ] {
        for cut in 0..contents.trim_end().len() - "-----END".len() {
            machine.write(&good, authority.certificate());
            machine.disk.put(file, &contents[..cut]);
            let error = machine.load().expect_err("a torn file is not the identity").to_string();
            assert!(error.starts_with(file) && !error.contains(secret), "{error}");
        }
    }
}

#[test]
fn debug_output_shows_names_and_no_key() {
    let authority = authority("atlas");
    let (machine, a) = node_of(&issued(&authority, "eu", "a"), authority.certificate());
    let key = machine.world.disk.read("node.key".as_ref(), 4_096).unwrap();
    let shown = format!("{a:?} {:?}", PeerVerifier::new(a.clone(), Expect::ANY));
    assert!(shown.contains("atlas"));
    assert!(!shown.contains(String::from_utf8(key).unwrap().lines().nth(1).unwrap()));
}
