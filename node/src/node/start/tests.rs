//! Nodes on this machine, with files, certificates and sockets as in production.

use std::net::UdpSocket;
use std::time::Duration;

use graticule_node_core::document::Source;
use graticule_node_core::leaving::LeavingInput;
use graticule_node_core::mesh::Condition;

use super::*;
use crate::identity::ca::{self, Issue};
use crate::pool::testing::{Backend, full};
use crate::testing::{FLEET, eventually, raw, run, tenant};
use crate::tunnel::Farewell;

/// A directory with documents and an authority.
struct Home(tempfile::TempDir);

impl Home {
    fn new(tenants: &[String]) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write("fleet.toml", FLEET);
        home.write("tenants/.keep", "");
        for (at, tenant) in tenants.iter().enumerate() {
            home.write(&format!("tenants/{at}.toml"), tenant);
        }
        ca::init(&home.path("ca"), &"atlas".parse().unwrap(), 30, World::system().clock.wall()).unwrap();
        home
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn issue(&self, node: &str, region: &str) {
        let issue = Issue {
            region: region.parse().unwrap(),
            node: node.parse().unwrap(),
            valid_days: 7,
            overwrite: true,
        };
        ca::issue(&self.path("ca"), &self.path(node), &issue, World::system().clock.wall()).unwrap();
    }

    /// A configuration of `node` on free ports, with seeds.
    fn config(&self, node: &str, seeds: &[SocketAddr]) -> NodeConfig {
        self.config_on(free_ports(), node, seeds)
    }

    fn config_on(&self, port: u16, node: &str, seeds: &[SocketAddr]) -> NodeConfig {
        let seeds: Vec<_> = seeds.iter().map(|seed| format!("\"{seed}\"")).collect();
        let text = format!(
            r#"
name = "{node}"
data = "{node}/data"
documents = "."
workers = 1
[ingress]
http = "127.0.0.1:0"
[mesh]
listen = "127.0.0.1:{port}"
advertise = "127.0.0.1:{port}"
seeds = [{}]
certificate = "{node}/{node}.pem"
key = "{node}/{node}.key"
authorities = "{node}/ca.pem"
[admin]
listen = "127.0.0.1:0"
"#,
            seeds.join(", ")
        );
        let (config, diagnostics) = NodeConfig::parse(&Source::new("node.toml", text), &[]);
        config.unwrap_or_else(|| panic!("{diagnostics:?}")).relative_to(self.0.path())
    }
}

/// Two neighbouring UDP ports that are free now.
fn free_ports() -> u16 {
    for _ in 0..100 {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && UdpSocket::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no free ports");
}

async fn start_node(config: NodeConfig) -> Result<Node, StartError> {
    Node::start_in(World::system(), config, Threads::This, GossipCodec::Bytes).await
}

/// The text of the error with which a node does not start.
async fn failure(config: NodeConfig) -> String {
    start_node(config).await.expect_err("it must not start").to_string()
}

async fn get(address: SocketAddr, host: &str, path: &str) -> String {
    raw(address, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await
}

#[test]
fn what_is_wrong_with_certificate_or_documents_is_said_before_anything_is_bound() {
    run(async {
        let home = Home::new(&[]);
        home.issue("node-1", "eu");
        let config = home.config("node-1", &[]);
        let named = NodeConfig { name: "node-2".parse().unwrap(), ..config.clone() };
        let text = failure(named).await;
        assert!(text.contains("names this node `node-2`, its certificate `node-1`"), "{text}");

        home.issue("node-3", "mars");
        let text = failure(home.config("node-3", &[])).await;
        assert!(
            text.contains("region `mars` of this node's certificate is not in the fleet document"),
            "{text}"
        );

        home.write("fleet.toml", &FLEET.replace("\"atlas\"", "\"other\""));
        let text = failure(config.clone()).await;
        assert!(
            text.contains("the certificate is of mesh `atlas`, the fleet document of mesh `other`"),
            "{text}"
        );

        home.write("fleet.toml", "version = x");
        let text = failure(config.clone()).await;
        assert!(text.contains("graticule check") && text.contains("fleet.toml:1:"), "{text}");

        std::fs::remove_file(home.path("node-1/node-1.key")).unwrap();
        let text = failure(config).await;
        assert!(text.contains("node-1.key"), "{text}");
    });
}

#[test]
fn an_address_that_is_taken_is_named() {
    run(async {
        let home = Home::new(&[]);
        home.issue("node-1", "eu");
        let config = home.config("node-1", &[]);
        let control = UdpSocket::bind(config.mesh.listen).unwrap();
        let text = failure(config.clone()).await;
        assert!(text.contains(&format!("cannot bind UDP {}", config.mesh.listen)), "{text}");
        drop(control);

        // Each on ports of its own: an endpoint is closed by its driver, a moment after it was dropped.
        let config = home.config("node-1", &[]);
        let worker = SocketAddr::new(config.mesh.listen.ip(), config.mesh.listen.port() + 1);
        let taken = UdpSocket::bind(worker).unwrap();
        let text = failure(config.clone()).await;
        assert!(text.contains(&format!("cannot bind UDP {worker}")), "{text}");
        drop(taken);

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap();
        let text = failure(NodeConfig {
            admin: graticule_node_core::config::AdminConfig { listen: taken, tokens: Vec::new() },
            ..home.config("node-1", &[])
        })
        .await;
        assert!(
            text.contains(&format!("cannot listen on {taken}")) && text.contains("choose another"),
            "{text}"
        );
        let mut http = home.config("node-1", &[]);
        http.ingress.http = taken;
        assert!(failure(http).await.contains(&format!("cannot listen on {taken}")));
    });
}

#[test]
fn a_control_endpoint_needs_a_port_with_free_ones_behind_it() {
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(worker_address(at(7_400), 1).unwrap(), at(7_402));
    for (port, index) in [(0, 0), (u16::MAX, 0), (u16::MAX - 1, 1), (7_400, usize::from(u16::MAX))] {
        let text = worker_address(at(port), index).unwrap_err().to_string();
        assert!(text.contains("one more free after it for each worker"), "{text}");
    }
}

#[test]
fn every_start_has_a_higher_generation() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("new/data");
    let world = World::system();
    let first = next_generation(&world, &data).unwrap();
    assert_eq!(next_generation(&world, &data).unwrap(), Generation(first.0 + 1));
    std::fs::write(data.join("generation"), " 41\n").unwrap();
    assert_eq!(next_generation(&world, &data).unwrap(), Generation(42));
    for broken in ["", "x", "-1", "99999999999999999999999999999999999"] {
        std::fs::write(data.join("generation"), broken).unwrap();
        let text = next_generation(&world, &data).unwrap_err().to_string();
        assert!(text.contains("cannot use the data directory"), "{text}");
        assert_eq!(
            std::fs::read_to_string(data.join("generation")).unwrap(),
            broken,
            "it is left for people"
        );
    }
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(next_generation(&world, &file).is_err());
}

#[test]
fn a_node_that_has_lost_its_disk_is_newer_than_before() {
    let directory = tempfile::tempdir().unwrap();
    let (lost, new) = (directory.path().join("lost"), directory.path().join("new"));
    let world = World::system();
    let before = next_generation(&world, &lost).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2));
    assert!(next_generation(&world, &new).unwrap() > before);
    // 1 January 2026.
    assert!(before.0 > 1_767_225_600_000, "{before:?} is no time in milliseconds");
}

#[test]
fn limits_are_shared_among_workers_and_never_nothing() {
    let home = Home::new(&[]);
    let mut config = home.config("node-1", &[]);
    config.workers = Some(4);
    config.requests_in_flight_max = 10;
    config.ingress.limits.connections_max = 2;
    assert_eq!(workers(&config), 4);
    assert_eq!(settings(&config, 3).requests_in_flight_max, 2);
    assert_eq!(limits(&config).client.connections_max, 1);
    assert_eq!(settings(&config, 3).via, "1.1 node-1");
    config.workers = None;
    assert!((1..=64).contains(&workers(&config)));
}

#[test]
fn two_nodes_find_each_other_relay_and_part_when_one_is_revoked() {
    run(async {
        let backend = Backend::on_loopback(|_| async { http::Response::new(full("from the backend")) }).await;
        let home = Home::new(&[tenant("acme", &["DE"], &[("eu", backend.address)])]);
        home.issue("node-1", "eu");
        home.issue("edge-1", "us");
        let node = start_node(home.config("node-1", &[])).await.unwrap();
        let edge = start_node(home.config("edge-1", &[node.addresses().mesh])).await.unwrap();

        let usable = |node: &Node| {
            let snapshot = node.shared().snapshot();
            let mut peers = snapshot.mesh.regions.iter().flat_map(|region| &region.peers);
            peers.any(|peer| peer.condition == graticule_node_core::mesh::Condition::Usable)
        };
        eventually("the edge can use the node", || usable(&edge)).await;
        let mut answer = String::new();
        for _ in 0..100 {
            answer = get(edge.addresses().http, "acme.example", "/").await;
            if answer.starts_with("HTTP/1.1 200") {
                break;
            }
            // The worker's own tunnel may come after the control tunnel.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(answer.ends_with("from the backend"), "{answer}");

        let status = get(edge.addresses().admin, "localhost", "/v1/tunnels").await;
        assert!(
            status.contains("\"node\":\"node-1\"") && status.contains("\"condition\":\"usable\""),
            "{status}"
        );
        let why = get(edge.addresses().admin, "localhost", "/v1/why?tenant=acme&edge=node-1").await;
        assert!(why.contains("\"edge\":\"node-1\"") && why.contains("\"decision\":\"local\""), "{why}");

        home.write(
            "fleet.toml",
            &FLEET.replace("\"thief\"", "\"edge-1\"").replace("version = 3", "version = 4"),
        );
        eventually("neither uses the other", || !usable(&edge) && !usable(&node)).await;
        let answer = get(edge.addresses().http, "acme.example", "/").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert_eq!(backend.seen.requests.get(), 1);
    });
}

#[test]
fn a_node_with_threads_of_its_own_stops_when_it_is_dropped() {
    run(async {
        let home = Home::new(&[]);
        home.issue("node-1", "eu");
        let config = home.config("node-1", &[]);
        let node = Node::start(config.clone()).await.unwrap();
        let answer = get(node.addresses().http, "nobody.example", "/").await;
        assert!(answer.contains("unknown-tenant"), "{answer}");
        let mesh = node.addresses().mesh;
        drop(node);
        eventually("its ports are free", || UdpSocket::bind(mesh).is_ok()).await;
        drop(Node::start(config).await.unwrap());
    });
}

#[test]
fn clients_are_not_shared_with_another_node_on_the_same_address() {
    run(async {
        let home = Home::new(&[]);
        home.issue("node-1", "eu");
        home.issue("edge-1", "us");
        let node = start_node(home.config("node-1", &[])).await.unwrap();
        let mut config = home.config("edge-1", &[]);
        config.ingress.http = node.addresses().http;
        let error = start_node(config).await.map(|_| ()).unwrap_err();
        assert!(
            matches!(&error, StartError::Listen(address, _) if *address == node.addresses().http),
            "{error}"
        );
    });
}

#[test]
fn documents_are_reloaded_and_broken_ones_change_nothing() {
    run(async {
        let backend = Backend::on_loopback(|_| async { http::Response::new(full("ok")) }).await;
        let good = tenant("acme", &["DE"], &[("eu", backend.address)]);
        let home = Home::new(std::slice::from_ref(&good));
        home.issue("node-1", "eu");
        let node = start_node(home.config("node-1", &[])).await.unwrap();
        let shared = std::sync::Arc::clone(node.shared());
        let tenants = || shared.snapshot().policy.tenants.len();
        home.write("tenants/beta.toml", &good.replace("acme", "beta"));
        eventually("the second tenant is there", || tenants() == 2).await;
        let before = shared.snapshot().policy.digest;
        home.write("tenants/beta.toml", "version = ");
        home.write("tenants/gamma.toml", &good.replace("acme", "gamma"));
        eventually("the third tenant is there", || tenants() == 3).await;
        assert_ne!(shared.snapshot().policy.digest, before);
        let answer = get(node.addresses().http, "beta.example", "/").await;
        assert!(answer.ends_with("ok"), "its last good document stays: {answer}");
        home.write(
            "fleet.toml",
            &FLEET.replace("version = 3", "version = 9").replace("[regions.eu]", "[regions.ch]"),
        );
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(shared.snapshot().policy.fleet.version.0, 3, "a fleet without this node's region");
        assert!(get(node.addresses().http, "acme.example", "/").await.ends_with("ok"));
    });
}

#[test]
fn files_are_looked_at_when_somebody_asks_and_not_only_every_second() {
    run(async {
        let home = Home::new(&[]);
        home.issue("node-1", "eu");
        let node = start_node(home.config("node-1", &[])).await.unwrap();
        node.reload().await;
        let begun = tokio::time::Instant::now();
        for version in 4..8 {
            home.write("fleet.toml", &FLEET.replace("version = 3", &format!("version = {version}")));
            node.reload().await;
            let shared = std::sync::Arc::clone(node.shared());
            eventually("it is in force", || shared.snapshot().policy.fleet.version.0 == version).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "four changes took {:?}", begun.elapsed());
    });
}

/// Two nodes that have met: `node-1` of the tenant's region, and `edge-1`.
async fn fleet(home: &Home) -> (Node, Node) {
    home.issue("node-1", "eu");
    home.issue("edge-1", "us");
    let with_drain = |mut config: NodeConfig| {
        config.drain.delay = Duration::from_millis(300);
        config
    };
    let node = start_node(with_drain(home.config("node-1", &[]))).await.unwrap();
    let edge = start_node(with_drain(home.config("edge-1", &[node.addresses().mesh]))).await.unwrap();
    eventually("they have met", || {
        sees(&edge) == Some(Condition::Usable) && sees(&node) == Some(Condition::Usable)
    })
    .await;
    (node, edge)
}

/// What a node thinks of the only other one.
fn sees(node: &Node) -> Option<Condition> {
    let snapshot = node.shared().snapshot();
    snapshot.mesh.regions.iter().flat_map(|region| &region.peers).next().map(|peer| peer.condition)
}

#[test]
fn a_drained_node_says_so_serves_on_and_leaves_when_all_is_done() {
    run(async {
        let backend = Backend::on_loopback(|_| async {
            tokio::time::sleep(Duration::from_millis(800)).await;
            http::Response::new(full("at last"))
        });
        let backend = backend.await;
        let home = Home::new(&[tenant("acme", &["DE"], &[("eu", backend.address)])]);
        let (node, edge) = fleet(&home).await;
        // Until the worker's own tunnel stands; then one request is still under way when the node closes.
        let warm = get(edge.addresses().http, "acme.example", "/").await;
        assert!(warm.ends_with("at last"), "{warm}");

        let drained = get_with("POST", node.addresses().admin, "/v1/drain").await;
        assert!(drained.contains("\"draining\""), "{drained}");
        let slow = task_of(get(node.addresses().http, "acme.example", "/"));
        let ready = get(node.addresses().admin, "localhost", "/v1/ready").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("draining"), "{ready}");
        eventually("the edge knows within some probes", || sees(&edge) == Some(Condition::Draining)).await;
        let begun = tokio::time::Instant::now();
        let farewell = node.left().await;
        assert_eq!(farewell, Farewell::Left);
        assert!(begun.elapsed() >= Duration::from_millis(400), "it waits for its last request");
        let last = slow.await.unwrap();
        assert!(last.ends_with("at last"), "{last}");
        let http = node.addresses().http;
        node.stop(farewell).await;
        assert!(tokio::net::TcpStream::connect(http).await.is_err());
        eventually("the edge knows that it is gone", || sees(&edge) == Some(Condition::Unreachable)).await;
    });
}

#[test]
fn a_node_that_is_told_to_stay_is_used_as_before() {
    run(async {
        let home = Home::new(&[]);
        let (node, edge) = fleet(&home).await;
        node.departure().tell(LeavingInput::Drain).unwrap();
        eventually("it drains", || sees(&edge) == Some(Condition::Draining)).await;
        node.departure().tell(LeavingInput::Undrain).unwrap();
        eventually("it stays", || sees(&edge) == Some(Condition::Usable)).await;
        let left = tokio::time::timeout(Duration::from_millis(600), node.left()).await;
        assert!(left.is_err(), "the delay no longer runs");
    });
}

#[test]
fn a_node_that_stops_without_draining_closes_its_tunnels_all_the_same() {
    run(async {
        let home = Home::new(&[]);
        let (node, edge) = fleet(&home).await;
        let begun = tokio::time::Instant::now();
        node.stop(Farewell::Stopped).await;
        eventually("the edge knows", || sees(&edge) == Some(Condition::Unreachable)).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "not after the idle limit: {:?}", begun.elapsed());
    });
}

#[test]
fn a_node_is_not_ready_before_it_has_met_every_region_or_waited_for_them() {
    run(async {
        let home = Home::new(&[]);
        home.issue("node-1", "eu");
        let alone = start_node(home.config("node-1", &[])).await.unwrap();
        let ready = get(alone.addresses().admin, "localhost", "/v1/ready").await;
        assert!(ready.starts_with("HTTP/1.1 200"), "the first of a mesh has nobody to meet: {ready}");
        home.issue("edge-1", "us");
        let edge = start_node(home.config("edge-1", &[alone.addresses().mesh])).await.unwrap();
        let begun = tokio::time::Instant::now();
        let ready = get(edge.addresses().admin, "localhost", "/v1/ready").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("joining"), "{ready}");
        // There is no node in asia.
        edge.joined().await;
        assert!((9..12).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
        let ready = get(edge.addresses().admin, "localhost", "/v1/ready").await;
        assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    });
}

async fn get_with(method: &str, address: SocketAddr, path: &str) -> String {
    raw(address, &format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await
}

/// Runs beside the test.
fn task_of(future: impl Future<Output = String> + 'static) -> oneshot::Receiver<String> {
    let (answer, answered) = oneshot::channel();
    task::spawn_detached("request", async move { drop(answer.send(future.await)) });
    answered
}

/// What is found of a configuration with these changes, as it is printed.
fn found(config: &NodeConfig) -> Vec<String> {
    faults(&World::system(), config).iter().map(ToString::to_string).collect()
}

#[test]
fn hosts_without_certificate_are_a_warning_where_they_are_matched_and_no_reason_not_to_start() {
    run(async {
        let backend = [("eu", "127.0.0.1:1".parse().unwrap())];
        let alone = tenant("alone", &["DE"], &backend)
            .replace("[residency]\n", "[residency]\nreceive = \"allowed\"\n");
        let redirected = tenant("redirected", &["DE"], &backend)
            .replace("id = \"redirected\"\n", "id = \"redirected\"\nredirect_http = true\n");
        let home = Home::new(&[alone, redirected]);
        home.issue("node-1", "eu");
        std::fs::create_dir(home.path("tls")).unwrap();
        let mut config = home.config("node-1", &[]);
        assert_eq!(found(&config), [""; 0], "without TLS there is nothing to show");
        config.ingress.https = Some(("127.0.0.1:0".parse().unwrap(), home.path("tls")));
        let warnings = found(&config);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(
            warnings[0].contains("tenants/0.toml:4:8: warning: no certificate for `alone.example`"),
            "{warnings:?}"
        );
        assert!(
            warnings[1].contains("tenants/1.toml:5:8: warning: no certificate for `redirected.example`"),
            "{warnings:?}"
        );
        start_node(config).await.expect("it starts");
    });
}

#[test]
fn what_keeps_a_node_from_starting_is_found_before_with_its_place_in_the_configuration() {
    run(async {
        let home = Home::new(&[]);
        home.issue("node-1", "eu");
        let good = home.config("node-1", &[]);
        let place = |key| good.places.error(Some(key), String::new());
        for (key, change) in [
            ("access_log.path", (|config, path| config.access_log = Some(path)) as fn(&mut NodeConfig, _)),
            ("mesh.certificate", |config, path| config.mesh.certificate = path),
            ("mesh.key", |config, path| config.mesh.key = path),
            ("mesh.authorities", |config, path| config.mesh.authorities = path),
            ("geo.databases", |config, path| config.geo.databases = vec![path]),
            ("ingress.certificates", |config, path| {
                config.ingress.https = Some(("127.0.0.1:0".parse().unwrap(), path));
            }),
        ] {
            // On ports of its own: those of a start that failed late are free only a little later.
            let mut config = home.config("node-1", &[]);
            change(&mut config, home.path("nowhere/at-all"));
            let found = faults(&World::system(), &config);
            assert_eq!(found.len(), 1, "{key}: {found:?}");
            let (file, line) = (place(key).file, place(key).line);
            assert_eq!((&found[0].file, found[0].line), (&file, line), "{key}");
            assert!(found[0].message.contains("at-all") && found[0].is_error(), "{found:?}");
            assert!(found[0].help.as_ref().unwrap().contains(key), "{found:?}");
            let error = start_node(config.clone()).await.expect_err("nor does it start");
            assert_eq!(error.diagnostics(&config)[0].help, found[0].help);
        }
        assert_eq!(place("mesh.key").line, 13);
        let mut config = good.clone();
        config.access_log = Some(home.path("tenants"));
        assert_eq!(found(&config).len(), 1, "a directory is no file");
        config.access_log = Some(home.path("access.log"));
        assert_eq!(found(&config), [""; 0]);
        assert!(!home.path("access.log").exists(), "nothing is written");
    });
}

#[test]
fn an_address_that_is_taken_is_told_with_the_key_that_names_it() {
    run(async {
        let home = Home::new(&[]);
        home.issue("node-1", "eu");
        let config = home.config("node-1", &[]);
        let taken = UdpSocket::bind(config.mesh.listen).unwrap();
        let error = start_node(config.clone()).await.expect_err("another has it");
        let told = error.diagnostics(&config)[0].to_string();
        assert!(told.starts_with("node.toml:9:10: error: cannot bind UDP"), "{told}");
        assert!(
            told.contains("choose another address in `mesh.listen`, or stop what has this one"),
            "{told}"
        );
        drop(taken);
    });
}

#[test]
fn clients_are_redirected_to_the_port_that_is_set_or_else_to_the_one_that_is_listened_on() {
    let home = Home::new(&[]);
    let mut config = home.config("node-1", &[]);
    let port = |config: &NodeConfig| settings(config, 0).https_port;
    assert_eq!(port(&config), None);
    config.ingress.https = Some(("127.0.0.1:8443".parse().unwrap(), home.path("tls")));
    assert_eq!(port(&config), Some(8443));
    config.ingress.redirect_port = Some(9443);
    assert_eq!(port(&config), Some(9443));
    config.ingress.redirect_port = Some(443);
    assert_eq!(port(&config), None, "it need not be said");
}
