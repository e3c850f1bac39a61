//! The demo as a newcomer and as a program use it: ready soon, at work, and gone without a trace.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use graticule_tests::{
    Answer, Ask, Connection, Tls, ask, consecutive_ports, eventually, graticule, now, run, story,
};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

#[test]
fn one_line_of_json_says_what_is_there_and_it_works() {
    story(LIMIT, async {
        let begun = now();
        let mut demo = Demo::start(&["--for", "30s", "--no-wan-delay"]).await;
        let ready_after = now() - begun;
        assert!(ready_after < Duration::from_secs(20), "ready after {ready_after:?}");
        demo.is_as_documented();
        berlin_is_served_in_the_union_only(&demo).await;
        globe_is_served_over_tls(&demo).await;
        demo.ends_by_itself(begun + Duration::from_secs(30)).await;
        demo.is_gone().await;
    });
}

#[test]
fn an_interrupt_ends_everything() {
    story(LIMIT, async {
        let base = consecutive_ports(120);
        let base_text = base.to_string();
        let mut demo = Demo::start(&["--nodes-per-region", "1", "--port", &base_text]).await;
        assert_eq!(demo.line.nodes.len(), 3);
        assert_eq!(demo.line.nodes[0].http.port(), base);
        // With the delay of the distances now.
        berlin_is_served_in_the_union_only(&demo).await;
        demo.signal("INT").await;
        demo.ends_with_success().await;
        demo.is_gone().await;
    });
}

#[test]
fn nothing_outlives_a_demo_that_is_killed() {
    story(LIMIT, async {
        let mut demo = Demo::start(&["--nodes-per-region", "1", "--no-wan-delay"]).await;
        demo.signal("KILL").await;
        timeout(PATIENCE, demo.process.wait()).await.expect("a killed process ends").unwrap();
        demo.no_process_is_left().await;
        // Nobody was left to remove them.
        std::fs::remove_dir_all(demo.directory()).unwrap();
    });
}

#[test]
fn people_see_a_dozen_requests_and_what_to_try() {
    story(LIMIT, async {
        let ran = run(["demo", "--for", "1s", "--no-wan-delay"]).await.succeeded();
        let text = &ran.stdout;
        for client in ["134.76.10.46", "18.9.22.69", "137.132.21.27", "2001:638:607::1"] {
            assert!(text.contains(client), "{client} is not in\n{text}");
        }
        let table = text.lines().skip_while(|line| !line.starts_with("CLIENT ")).skip(1);
        let requests = table.take_while(|line| line.contains(" ms)")).count();
        assert!(requests >= 12, "{requests} requests in\n{text}");
        for word in ["berlin.example", "EU only", "curl ", "kill -9 ", "graticule why", "Ctrl-C"] {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
    });
}

async fn globe_is_served_over_tls(demo: &Demo) {
    let node = demo.line.nodes.iter().find(|node| node.region == "us-east").expect("a node of every region");
    let tls = Tls::to("globe.example", &demo.line.clients_authority);
    let mut connection = Connection::open_tls(node.https, &tls).await.expect("TLS");
    let ask = Ask::get("globe.example", "/");
    served_at_home("us-east", async || connection.ask(&ask).await.expect("an answer")).await;
}

/// The edge's own region answers. Where all regions are equally far, a node that is still busy with its own start lets
/// another one serve, so that may take a moment; an answer it is all the same.
async fn served_at_home(edge: &str, mut ask: impl AsyncFnMut() -> Answer) {
    eventually(&format!("{edge} serves its own clients"), AT_REST_LIMIT, async || {
        let answer = ask().await;
        assert_eq!(answer.status.as_u16(), 200, "at {edge}");
        if answer.region() == Some(edge) { Ok(()) } else { Err(answer.region().map(str::to_owned)) }
    })
    .await;
}

/// A running demo, as its own line of JSON describes it.
struct Demo {
    process: Child,
    line: Line,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    ready: bool,
    authority: PathBuf,
    clients_authority: PathBuf,
    nodes: Vec<Node>,
    tenants: Vec<Tenant>,
    backends: Vec<Backend>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    name: String,
    region: String,
    pid: u32,
    http: SocketAddr,
    https: SocketAddr,
    mesh: SocketAddr,
    admin: SocketAddr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tenant {
    id: String,
    hosts: Vec<String>,
    residency: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backend {
    region: String,
    address: SocketAddr,
    pid: u32,
}

impl Demo {
    async fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(graticule());
        command.args(["demo", "--json"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("the binary can be run");
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        timeout(PATIENCE, output.read_line(&mut line)).await.expect("it is ready in time").expect("a line");
        let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
        Self { process, line }
    }

    fn is_as_documented(&self) {
        let Line { ready, authority, clients_authority, nodes, tenants, backends } = &self.line;
        assert!(*ready && authority.is_file() && clients_authority.is_file());
        let regions = ["ap-southeast", "eu-central", "us-east"];
        for region in regions {
            assert_eq!(nodes.iter().filter(|node| node.region == region).count(), 2, "{nodes:?}");
            assert_eq!(backends.iter().filter(|backend| backend.region == region).count(), 2, "{backends:?}");
        }
        assert_eq!((nodes.len(), backends.len(), tenants.len()), (6, 6, 3));
        assert!(nodes.iter().all(|node| node.name.starts_with(&node.region)));
        assert!(tenants.iter().all(|tenant| !tenant.hosts.is_empty() && !tenant.residency.is_empty()));
        let mut places: Vec<_> = nodes.iter().flat_map(|node| [node.http, node.https, node.admin]).collect();
        places.extend(backends.iter().map(|backend| backend.address));
        assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), 24, "each listens somewhere else");
        assert_eq!(nodes.iter().map(|node| node.mesh).collect::<BTreeSet<_>>().len(), 6);
        assert_eq!(self.pids().len(), 12, "each is a process of its own");
        assert!(self.pids().iter().all(|pid| is_running(*pid)));
    }

    fn edge(&self, region: &str) -> SocketAddr {
        self.line.nodes.iter().find(|node| node.region == region).expect("a node of every region").http
    }

    fn host(&self, tenant: &str) -> &str {
        &self.line.tenants.iter().find(|one| one.id == tenant).expect("the demo's tenants").hosts[0]
    }

    fn pids(&self) -> BTreeSet<u32> {
        let nodes = self.line.nodes.iter().map(|node| node.pid);
        nodes.chain(self.line.backends.iter().map(|backend| backend.pid)).collect()
    }

    /// The directory of everything that it wrote.
    fn directory(&self) -> &Path {
        self.line
            .authority
            .parent()
            .and_then(Path::parent)
            .expect("the authority is in a directory of the demo's")
    }

    async fn signal(&self, signal: &str) {
        let pid = self.process.id().expect("it is running").to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status().await;
        assert!(sent.expect("`kill` can be run").success());
    }

    async fn ends_by_itself(&mut self, not_before: std::time::Instant) {
        self.ends_with_success().await;
        assert!(now() >= not_before, "it stays for as long as it was told");
    }

    async fn ends_with_success(&mut self) {
        let ended = timeout(Duration::from_secs(45), self.process.wait())
            .await
            .expect("it ends")
            .expect("its status");
        assert!(ended.success(), "{ended}");
    }

    async fn is_gone(&self) {
        self.no_process_is_left().await;
        assert!(!self.directory().exists(), "{} is left", self.directory().display());
    }

    async fn no_process_is_left(&self) {
        eventually("every process of the demo has ended", PATIENCE, async || {
            let left: Vec<_> = self.pids().into_iter().filter(|pid| is_running(*pid)).collect();
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Killed, it cannot remove its files; a test that has passed finds none.
        if self.process.id().is_some() {
            let _ = self.process.start_kill();
            let _ = std::fs::remove_dir_all(self.directory());
        }
    }
}

async fn berlin_is_served_in_the_union_only(demo: &Demo) {
    for edge in ["eu-central", "us-east", "ap-southeast"] {
        let asked = Ask::get(demo.host("berlin"), "/hello").from(IpAddr::from([18, 9, 22, 69]));
        let answer = ask(demo.edge(edge), &asked).await;
        assert_eq!((answer.status.as_u16(), answer.region()), (200, Some("eu-central")), "at {edge}");
        let echo: serde_json::Value = serde_json::from_slice(&answer.body).expect("a backend's answer");
        assert_eq!((echo["region"].as_str(), echo["path"].as_str()), (Some("eu-central"), Some("/hello")));
        served_at_home(edge, async || ask(demo.edge(edge), &Ask::get(demo.host("globe"), "/")).await).await;
    }
}

/// Whether the process is there and is one of ours: numbers are given again.
fn is_running(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.contains("(graticule") && !status.contains(") Z ")
}

const LIMIT: Duration = Duration::from_mins(2);
/// For a node to have done what it does when it starts.
const AT_REST_LIMIT: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(30);
