//! What nodes tell of requests, and to whom: access logs, metrics and traces of real processes, within the rules.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::cell::RefCell;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use graticule_tests::{
    Ask, Connection, EU_CENTRAL, Fleet, Plan, Tls, US_EAST, ask, consecutive_ports, eventually, raw_backend,
    read_head, story,
};
use http::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// In Germany only, and anywhere.
async fn prepared() -> Fleet {
    let plan = Plan::new([EU_CENTRAL, US_EAST])
        .tenant_in("strict", &rules("strict", "country:DE"), ["eu-central"])
        .tenant_in("free", &rules("free", "any"), ["eu-central"]);
    Fleet::prepare(plan).await
}

fn rules(id: &str, allow: &str) -> String {
    format!("[[match]]\nhost = \"{id}.example\"\n\n[residency]\nallow = [\"{allow}\"]\n")
}

/// Starts the fleet; where each node's access log is.
async fn start_with_logs(fleet: &mut Fleet) -> Vec<PathBuf> {
    let logs: Vec<PathBuf> =
        fleet.nodes.iter().map(|node| fleet.scratch(&format!("{}.log", node.name))).collect();
    for (node, log) in fleet.nodes.iter_mut().zip(&logs) {
        node.set(&format!("access_log.path={}", log.display()));
        node.start();
    }
    fleet.until_connected().await;
    fleet.until_settled().await;
    logs
}

fn lines(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

async fn until_lines(log: &Path, count: usize) -> Vec<Value> {
    eventually("the lines are written", LIMIT, async || {
        let lines = lines(log);
        if lines.len() == count { Ok(lines) } else { Err(lines) }
    })
    .await
}

async fn metrics(node: &graticule_tests::Node) -> String {
    String::from_utf8_lossy(&ask(node.admin, &Ask::get("admin", "/metrics")).await.body).into_owned()
}

#[test]
fn a_strict_tenant_leaves_lines_only_at_home_and_counters_everywhere() {
    story(Duration::from_mins(1), async {
        let mut fleet = prepared().await;
        let logs = start_with_logs(&mut fleet).await;
        let edge = fleet.edge("us-east");
        for tenant in ["strict", "free"] {
            let request = Ask::get(&format!("{tenant}.example"), "/private?key=secret");
            assert_eq!(ask(edge, &request.from("203.0.113.77".parse().unwrap())).await.status, 200);
        }
        let at_home = until_lines(&logs[0], 2).await;
        let abroad = until_lines(&logs[1], 1).await;
        assert_eq!(abroad[0]["tenant"], "free");
        for line in at_home.iter().chain(&abroad) {
            assert_eq!(
                (&line["client"], &line["path"]),
                (&"203.0.113.0/24".into(), &"/private".into()),
                "{line}"
            );
        }
        // Whatever is kept of the request abroad: its address and its path are not in it.
        let page = metrics(&fleet.nodes[1]).await;
        assert!(
            page.contains(r#"graticule_requests_total{tenant="strict",role="edge",class="2xx"} 1"#),
            "{page}"
        );
        for kept in [page, fleet.nodes[1].log()] {
            assert!(!kept.contains("203.0.113") && !kept.contains("private"), "{kept}");
        }

        // Rotation: what is moved keeps its lines, and after SIGHUP a new file gets the next ones.
        let moved = fleet.scratch("moved.log");
        fs::rename(&logs[1], &moved).expect("a file can be moved");
        fleet.nodes[1].signal("HUP");
        eventually("the file is there again", LIMIT, async || {
            logs[1].exists().then_some(()).ok_or("it is not")
        })
        .await;
        ask(edge, &Ask::get("free.example", "/after")).await;
        assert_eq!(until_lines(&logs[1], 1).await[0]["path"], "/after");
        assert_eq!(lines(&moved).len(), 1);
    });
}

#[test]
fn what_is_under_way_when_a_node_leaves_is_logged_too() {
    story(Duration::from_mins(1), async {
        let mut fleet = prepared().await;
        let log = fleet.scratch("access.log");
        let node = &mut fleet.nodes[0];
        node.set(&format!("access_log.path={}", log.display()));
        node.set("drain.delay=0ms");
        node.set("mesh.seeds=");
        node.start();
        eventually("it is ready", LIMIT, async || node.is_ready().await.then_some(()).ok_or("it is not"))
            .await;
        eventually("it serves", LIMIT, async || {
            let answer = ask(node.http, &Ask::get("free.example", "/")).await;
            (answer.status == 200).then_some(()).ok_or(answer.status)
        })
        .await;
        let before = lines(&log).len();
        ask(node.http, &Ask::get("free.example", "/last")).await;
        node.signal("TERM");
        assert!(node.until_ended(LIMIT).await.success());
        let lines = lines(&log);
        assert!(lines.len() > before && lines.last().unwrap()["path"] == "/last", "{lines:?}");
    });
}

/// Every way for a request to end that concerns tenants who may be kept in Germany only, at an edge that is elsewhere.
#[test]
fn whatever_becomes_of_a_strict_tenants_requests_nothing_personal_is_kept_abroad() {
    story(Duration::from_mins(2), async {
        let (mut fleet, collectors) = strict().await;
        let logs = start_with_logs(&mut fleet).await;
        let edge = fleet.edge("us-east");

        refused(&fleet).await;
        for carried in [
            ask(edge, &private("strict")).await,
            Connection::open_http2(edge).await.unwrap().ask(&private("strict")).await.unwrap(),
        ] {
            assert_eq!(carried.status, StatusCode::OK);
        }
        upgraded(edge).await;
        // The client is gone before an answer.
        let mut stream = TcpStream::connect(edge).await.unwrap();
        stream.write_all(head("strict", "/private/never", "").as_bytes()).await.unwrap();
        eventually("the request is at home", LIMIT, async || {
            let page = metrics(&fleet.nodes[0]).await;
            page.contains("graticule_requests_in_flight 1\n").then_some(()).ok_or(page)
        })
        .await;
        drop(stream);

        let at_home = until_lines(&logs[0], 5).await;
        for line in &at_home {
            assert_eq!((&line["role"], &line["tenant"]), (&"serving".into(), &"strict".into()), "{line}");
            assert!(line["path"].as_str().unwrap().starts_with("/private"), "{line}");
        }
        let statuses = [Value::from(200), 200.into(), 101.into(), 101.into(), Value::Null];
        assert_eq!(at_home.iter().map(|line| line["status"].clone()).collect::<Vec<_>>(), statuses);
        let abroad = until_lines(&logs[1], 2).await;
        let of = |line: &Value| (line["reason"].clone(), line["tenant"].clone(), line.get("path").cloned());
        let told: Vec<_> = abroad.iter().map(of).collect();
        let nobodys = ["unknown-tenant", "bad-request"].map(|reason| (reason.into(), Value::Null, None));
        assert_eq!(told, nobodys);

        let page = metrics(&fleet.nodes[1]).await;
        for (series, count) in [
            (r#"requests_total{tenant="strict",role="edge",class="2xx"}"#, 2),
            (r#"requests_total{tenant="strict",role="edge",class="1xx"}"#, 2),
            (r#"requests_total{tenant="strict",role="edge",class="gone"}"#, 1),
            (r#"requests_total{tenant="moved",role="edge",class="3xx"}"#, 2),
            (r#"refusals_total{tenant="strict",role="edge",reason="body-too-large"}"#, 1),
            (r#"refusals_total{tenant="moved",role="edge",reason="misdirected"}"#, 1),
            (r#"refusals_total{tenant="nowhere",role="edge",reason="unknown-location"}"#, 1),
            (r#"refusals_total{tenant="down",role="edge",reason="no-compliant-region"}"#, 1),
        ] {
            assert!(page.contains(&format!("graticule_{series} {count}\n")), "{series} {count} in\n{page}");
        }
        let [home, foreign] = &collectors;
        eventually("the spans are there", LIMIT, async || {
            let got = home.text();
            if got.matches("\"/private").count() >= 5 { Ok(()) } else { Err(got) }
        })
        .await;
        let written = fs::read_to_string(&logs[1]).unwrap();
        for kept in [page, fleet.nodes[1].log(), written, foreign.text()] {
            assert!(!kept.contains("203.0.113") && !kept.contains("private"), "{kept}");
        }
    });
}

/// What an edge abroad answers by itself: nothing of it goes anywhere.
async fn refused(fleet: &Fleet) {
    let edge = fleet.edge("us-east");
    let answer = ask(edge, &Ask::get("nobody.example", "/private")).await;
    assert_eq!(answer.refusal().as_deref(), Some("unknown-tenant"));
    let twice = raw(edge, &head("strict", "/private", "host: two.example\r\n")).await;
    assert!(twice.starts_with("HTTP/1.1 400"), "{twice}");
    let body = Ask::with(Method::POST, "strict.example", "/private", "more than a few bytes");
    for (request, status) in [
        (body.from(CLIENT), StatusCode::PAYLOAD_TOO_LARGE),
        (private("moved"), StatusCode::PERMANENT_REDIRECT),
        (private("nowhere"), StatusCode::FORBIDDEN),
        (private("down"), StatusCode::SERVICE_UNAVAILABLE),
    ] {
        assert_eq!(ask(edge, &request).await.status, status, "{request:?}");
    }
    let believed = fleet.certificates().join("strict.example.pem");
    let tls = Tls::to("strict.example", &believed);
    let mut connection = Connection::open_tls(fleet.tls_edge("us-east"), &tls).await.unwrap();
    assert_eq!(connection.ask(&private("moved")).await.unwrap().status, StatusCode::MISDIRECTED_REQUEST);
}

/// A connection that becomes another protocol's, by either version of HTTP.
async fn upgraded(edge: SocketAddr) {
    let mut stream = TcpStream::connect(edge).await.unwrap();
    let asked = head("strict", "/private", "connection: upgrade\r\nupgrade: echo\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101"));
    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();

    let mut connection = Connection::open_http2(edge).await.unwrap();
    // Only a server that has said so may be asked; its settings come before its first answer.
    connection.ask(&private("moved")).await.unwrap();
    let mut request = private("strict").request();
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(hyper::ext::Protocol::from_static("echo"));
    let answer = connection.start(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

/// Two nodes, whose collectors keep what they get, and tenants that may be in Germany only, or nowhere.
async fn strict() -> (Fleet, [Kept; 2]) {
    let plan = Plan::new([EU_CENTRAL, US_EAST])
        .certificate(&["strict.example"])
        .certificate(&["moved.example"])
        .tenant_in(
            "moved",
            &format!("redirect_http = true\n{}", rules("moved", "country:DE")),
            ["eu-central"],
        )
        .tenant_in("down", &rules("down", "country:DE"), ["us-east"])
        .tenant_in("nowhere", &format!("{}{UNKNOWN}", rules("nowhere", "country:DE")), ["eu-central"]);
    let mut fleet = Fleet::prepare(plan).await;
    let backend = raw_backend(backend).await;
    let head = "version = 1\nid = \"strict\"\nlimits = { body_bytes_max = 10 }\n";
    let pool = format!("[pools.eu-central]\nbackends = [\"{backend}\"]\n");
    let document = format!("{head}{}{pool}", rules("strict", "country:DE"));
    fs::write(fleet.documents().join("tenants/strict.toml"), document).unwrap();
    let collectors = [Kept::start().await, Kept::start().await];
    for (node, collector) in fleet.nodes.iter_mut().zip(&collectors) {
        node.configure_also(&format!(
            "[otlp]\nendpoint = \"http://{}\"\ntraces_percent = 100",
            collector.address
        ));
    }
    (fleet, collectors)
}

/// Switches to whatever protocol it is asked for and ends it, answers nothing to some paths, and is well otherwise.
async fn backend(mut stream: TcpStream) {
    loop {
        let head = read_head(&mut stream).await;
        if head.contains("/never") {
            std::future::pending::<()>().await;
        }
        if !head.contains("upgrade: ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            continue;
        }
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(switch).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        return;
    }
}

fn private(tenant: &str) -> Ask {
    Ask::get(&format!("{tenant}.example"), "/private?key=secret").from(CLIENT)
}

fn head(tenant: &str, path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {tenant}.example\r\nx-forwarded-for: {CLIENT}\r\n{more}\r\n")
}

/// What comes back before the connection ends.
async fn raw(edge: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(edge).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    read_head(&mut stream).await
}

/// A collector that keeps every byte that it gets.
struct Kept {
    address: SocketAddr,
    got: Rc<RefCell<Vec<u8>>>,
}

impl Kept {
    async fn start() -> Self {
        let got = Rc::<RefCell<Vec<u8>>>::default();
        let keeping = Rc::clone(&got);
        let address = raw_backend(move |mut stream| {
            let got = Rc::clone(&keeping);
            async move {
                let mut piece = [0; 16 * 1024];
                while let Ok(length @ 1..) = stream.read(&mut piece).await {
                    got.borrow_mut().extend_from_slice(&piece[..length]);
                    // The body is one JSON object.
                    if piece[..length].ends_with(b"}") {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    }
                }
            }
        })
        .await;
        Self { address, got }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.got.borrow()).into_owned()
    }
}

/// A collector that writes what it gets to a file.
struct Collector {
    process: Child,
    address: SocketAddr,
    file: PathBuf,
}

impl Collector {
    fn start(binary: &str, directory: &Path) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, consecutive_ports(1)));
        let file = directory.with_extension("telemetry.json");
        let text = format!(
            "receivers:\n  otlp:\n    protocols:\n      http:\n        endpoint: {address}\n\
             exporters:\n  file:\n    path: {}\n    flush_interval: 100ms\n\
             service:\n  telemetry:\n    metrics:\n      level: none\n  pipelines:\n\
             \x20   traces: {{receivers: [otlp], exporters: [file]}}\n\
             \x20   metrics: {{receivers: [otlp], exporters: [file]}}\n",
            file.display()
        );
        let config = directory.with_extension("collector.yaml");
        fs::write(&config, text).expect("the collector's configuration is written");
        let mut command = Command::new(binary);
        command.arg("--config").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { process: command.spawn().expect("the collector can be run"), address, file }
    }

    /// Everything that has come of one kind.
    fn got(&self, kind: &str) -> Vec<Value> {
        lines(&self.file).into_iter().filter_map(|line| line.get(kind).cloned()).collect()
    }

    /// Every span.
    fn spans(&self) -> Vec<Value> {
        let resources =
            self.got("resourceSpans").into_iter().flat_map(|all| all.as_array().cloned().expect("a list"));
        let scopes =
            resources.flat_map(|resource| resource["scopeSpans"].as_array().cloned().expect("a list"));
        scopes.flat_map(|scope| scope["spans"].as_array().cloned().expect("a list")).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
#[ignore = "needs OpenTelemetry's collector: .ci/otlp builds it and runs this"]
fn a_collector_gets_one_trace_of_a_request_through_two_nodes() {
    let binary = std::env::var("COLLECTOR_UNDER_TEST").expect(".ci/otlp says where the collector is");
    story(Duration::from_mins(2), async {
        let mut fleet = prepared().await;
        let collectors: Vec<_> =
            fleet.nodes.iter().map(|node| Collector::start(&binary, &fleet.scratch(&node.name))).collect();
        for (node, collector) in fleet.nodes.iter_mut().zip(&collectors) {
            node.configure_also(&format!(
                "[otlp]\nendpoint = \"http://{}\"\ntraces_percent = 0",
                collector.address
            ));
            node.start();
        }
        fleet.until_connected().await;
        fleet.until_settled().await;
        let edge = fleet.edge("us-east");
        for tenant in ["free", "strict"] {
            let request = Ask::get(&format!("{tenant}.example"), "/private")
                .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
            assert_eq!(ask(edge, &request).await.status, 200);
        }
        let [at_home, abroad] = collectors.as_slice() else { panic!("two nodes") };
        eventually("the spans have come", LIMIT, async || {
            let counts = (at_home.spans().len(), abroad.spans().len());
            if counts == (2, 1) { Ok(()) } else { Err(counts) }
        })
        .await;
        let edges = abroad.spans().remove(0);
        let serving = at_home.spans();
        assert_eq!(edges["parentSpanId"], "b7ad6b7169203331", "the client's");
        assert!(serving.iter().all(|span| span["traceId"] == "0af7651916cd43dd8448eb211c80319c"));
        let joined = serving.iter().find(|span| span["parentSpanId"] == edges["spanId"]);
        assert!(joined.is_some_and(|span| span.to_string().contains("free.example")), "{serving:?}");
        let alone = serving.iter().find(|span| span["parentSpanId"] == "b7ad6b7169203331");
        assert!(alone.is_some_and(|span| span.to_string().contains("strict.example")), "{serving:?}");

        eventually("the metrics have come", Duration::from_secs(30), async || {
            let metrics = abroad.got("resourceMetrics");
            let counted = |metric: &Value| metric.to_string().contains("graticule_requests_total");
            metrics.iter().any(counted).then_some(()).ok_or("none yet")
        })
        .await;
        let text = fs::read_to_string(&abroad.file).expect("what the collector has written");
        assert!(!text.contains("strict.example"), "nothing of it left its region");
    });
}

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77));
/// The client's address belongs to no country.
const UNKNOWN: &str = "unknown = \"refuse\"\nclient = [{ when = [\"country:US\"], allow = [] }]\n";
const LIMIT: Duration = Duration::from_secs(20);
