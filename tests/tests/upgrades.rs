//! Upgrades: WebSocket and others, from HTTP/1.1 and HTTP/2, at home and through a tunnel.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use graticule_tests::{
    Ask, Connection, EU_CENTRAL, Fleet, Lone, Node, Plan, US_EAST, UpgradedStream, Upgrading, ask,
    raw_backend, read_head, story, tls_server,
};
use http::{HeaderValue, Method, StatusCode};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

#[test]
fn web_sockets_carry_pings_large_messages_and_close_codes() {
    story(Duration::from_mins(2), async {
        carry_web_sockets(&Lone::default().fleet(TENANT, echoing().await).await).await;
    });
}

#[test]
fn web_sockets_of_backends_that_speak_http_2_carry_the_same() {
    story(Duration::from_mins(2), async {
        let backend = Upgrading::default().start(echo).await;
        carry_web_sockets(&OF_HTTP2.fleet(TENANT, backend).await).await;
    });
}

#[test]
fn web_sockets_of_backends_that_speak_http_2_under_tls_carry_the_same() {
    story(Duration::from_mins(2), async {
        let (authority, config) = tls_server("chat.internal");
        let backend = Upgrading { tls: Some(config), ..Upgrading::default() }.start(echo).await;
        let mut fleet = Fleet::prepare(Plan::new([EU_CENTRAL, US_EAST])).await;
        let documents = fleet.documents();
        fs::create_dir(documents.join("ca")).unwrap();
        fs::write(documents.join("ca/backends.pem"), &authority).unwrap();
        let tls = "tls = { name = \"chat.internal\", ca = \"ca/backends.pem\" }\nprotocol = \"http2\"";
        let pool = format!("[pools.eu-central]\nbackends = [\"{backend}\"]\n{tls}\n");
        let document = format!("version = 1\nid = \"{TENANT}\"\n{PLAIN}\n{pool}");
        fs::write(documents.join(format!("tenants/{TENANT}.toml")), document).unwrap();
        fleet.nodes.iter_mut().for_each(Node::start);
        fleet.until_connected().await;
        carry_web_sockets(&fleet).await;
    });
}

/// At the edge that serves and through a tunnel, asked by HTTP/1.1, whose clients check the proof of their key, and by
/// HTTP/2.
async fn carry_web_sockets(fleet: &Fleet) {
    for edge in ["eu-central", "us-east"] {
        let stream = TcpStream::connect(fleet.edge(edge)).await.unwrap();
        let mut request = format!("ws://{HOST}/chat").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("chat.v1"));
        let (socket, response) = client_async(request, stream).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers()["x-graticule-region"], "eu-central");
        assert_eq!(response.headers()["sec-websocket-protocol"], "chat.v1");
        talk(socket).await;

        let socket = over_http2(fleet, edge).await;
        talk(socket).await;
    }
}

/// A WebSocket by extended CONNECT (RFC 8441).
async fn over_http2(fleet: &Fleet, edge: &str) -> WebSocketStream<impl AsyncRead + AsyncWrite + Unpin> {
    let (response, connection) = connect(fleet, edge, "websocket").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key("sec-websocket-accept"), "{:?}", response.headers());
    let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    // The connection ends with its handle, and this is a test.
    std::mem::forget(connection);
    WebSocketStream::from_raw_socket(stream, Role::Client, None).await
}

/// The answer to an extended CONNECT, and the connection that it came by.
async fn connect(
    fleet: &Fleet,
    edge: &str,
    protocol: &'static str,
) -> (http::Response<Incoming>, Connection) {
    let mut connection = Connection::open_http2(fleet.edge(edge)).await.unwrap();
    // Only a server that has said so may be asked; its settings come before its first answer.
    connection.ask(&Ask::get("nobody.example", "/")).await.unwrap();
    let ask = Ask::with(Method::CONNECT, HOST, "/chat", "").header("sec-websocket-version", "13");
    let mut request = ask.request();
    request.extensions_mut().insert(Protocol::from_static(protocol));
    (connection.start(request).await.unwrap(), connection)
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) {
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("hello"));
    socket.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong("are you there".into()));
    let large: Vec<u8> = (0..LARGE_BYTES).map(|at| (at % 251) as u8).collect();
    socket.send(Message::binary(large.clone())).await.unwrap();
    assert!(next(&mut socket).await == Message::binary(large), "another message came back");
    let farewell = CloseFrame { code: CloseCode::Library(4_001), reason: "enough".into() };
    socket.close(Some(farewell.clone())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Close(Some(farewell)));
    let end = timeout(ANSWER_LIMIT, socket.next()).await.expect("an end");
    assert!(end.is_none(), "{end:?}");
}

async fn next<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Message {
    timeout(ANSWER_LIMIT, socket.next()).await.expect("a message in time").expect("a message").unwrap()
}

#[test]
fn any_protocol_can_be_switched_to_and_its_end_is_passed_on() {
    story(Duration::from_mins(1), async {
        count(&Lone::default().fleet(TENANT, counting().await).await).await;
        let backend = Upgrading::default().start(async |mut stream| {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            stream.write_all(all.len().to_string().as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        count(&OF_HTTP2.fleet(TENANT, backend.await).await).await;
    });
}

async fn count(fleet: &Fleet) {
    for edge in ["eu-central", "us-east"] {
        let mut stream = TcpStream::connect(fleet.edge(edge)).await.unwrap();
        // What follows at once is for the other protocol.
        let request =
            format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: count\r\n\r\n12345");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: count\r\n"), "{head}");
        stream.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut counted = String::new();
        timeout(ANSWER_LIMIT, stream.read_to_string(&mut counted)).await.expect("an end").unwrap();
        assert_eq!(counted, "1000005", "{edge}");
    }
}

#[test]
fn a_backend_notices_a_client_that_is_gone() {
    story(Duration::from_mins(1), async {
        let (address, mut gone) = noticing().await;
        notice(&Lone::default().fleet(TENANT, address).await, &mut gone).await;
        let (tell, mut gone) = tokio::sync::mpsc::channel(8);
        let backend = Upgrading::default().start(move |mut stream| {
            let tell = tell.clone();
            async move {
                let _ = stream.read_to_end(&mut Vec::new()).await;
                tell.send(()).await.unwrap();
            }
        });
        notice(&OF_HTTP2.fleet(TENANT, backend.await).await, &mut gone).await;
    });
}

async fn notice(fleet: &Fleet, gone: &mut tokio::sync::mpsc::Receiver<()>) {
    for edge in ["eu-central", "us-east"] {
        let mut stream = TcpStream::connect(fleet.edge(edge)).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        read_head(&mut stream).await;
        drop(stream);
        timeout(ANSWER_LIMIT, gone.recv()).await.expect("the backend notices").unwrap();
        let (response, connection) = connect(fleet, edge, "x").await;
        drop(hyper::upgrade::on(response).await.unwrap());
        timeout(ANSWER_LIMIT, gone.recv()).await.expect("the backend notices").unwrap();
        drop(connection);
    }
}

#[test]
fn an_upgraded_connection_may_rest_for_so_long_and_no_longer() {
    story(Duration::from_mins(1), async {
        let tables = "[ingress.limits]\nupgrade_timeout = \"1s\"";
        rest(&Lone { tables, ..Lone::default() }.fleet(TENANT, echoing().await).await).await;
        let backend = Upgrading::default().start(echo).await;
        rest(&Lone { tables, ..OF_HTTP2 }.fleet(TENANT, backend).await).await;
    });
}

async fn rest(fleet: &Fleet) {
    let stream = TcpStream::connect(fleet.edge("us-east")).await.unwrap();
    let request = format!("ws://{HOST}/").into_client_request().unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        socket.send(Message::text("still here")).await.unwrap();
        next(&mut socket).await;
    }
    let end = timeout(Duration::from_secs(4), socket.next()).await.expect("an end in time");
    assert!(end.is_none_or(|end| end.is_err()));
}

#[test]
fn a_backend_that_does_not_switch_answers_as_usual() {
    story(Duration::from_mins(1), async {
        let fleet = Plan::new([EU_CENTRAL, US_EAST]).tenant_in("plain", PLAIN, ["eu-central"]).start().await;
        for edge in ["eu-central", "us-east"] {
            let mut connection = Connection::open(fleet.edge(edge)).await.unwrap();
            for _ in 0..2 {
                let ask = Ask::get(HOST, "/").header("connection", "upgrade").header("upgrade", "websocket");
                assert_eq!(connection.ask(&ask).await.unwrap().status, StatusCode::OK, "{edge}");
            }
            // In HTTP/2, success would mean that it has switched.
            let mut connection = Connection::open_http2(fleet.edge(edge)).await.unwrap();
            connection.ask(&Ask::get(HOST, "/")).await.unwrap();
            let mut request = Ask::with(Method::CONNECT, HOST, "/", "").request();
            request.extensions_mut().insert(Protocol::from_static("websocket"));
            assert_eq!(connection.start(request).await.unwrap().status(), StatusCode::BAD_GATEWAY, "{edge}");
        }
    });
}

#[test]
fn a_backend_that_does_not_prove_that_it_speaks_websocket_is_not_believed() {
    story(Duration::from_mins(1), async {
        let fleet = Lone::default().fleet(TENANT, counting().await).await;
        for edge in ["eu-central", "us-east"] {
            let (response, _) = connect(&fleet, edge, "websocket").await;
            assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{edge}");
        }
    });
}

#[test]
fn a_backend_of_http_2_that_does_not_agree_answers_as_usual() {
    story(Duration::from_mins(1), async {
        let backend = Upgrading { status: StatusCode::FORBIDDEN, ..Upgrading::default() };
        let fleet = OF_HTTP2.fleet(TENANT, backend.start(echo).await).await;
        expect_no_upgrade(&fleet, StatusCode::FORBIDDEN, None).await;
        for edge in ["eu-central", "us-east"] {
            let mut connection = Connection::open(fleet.edge(edge)).await.unwrap();
            let keyless = Ask::get(HOST, "/").header("connection", "upgrade").header("upgrade", "websocket");
            let refused = connection.ask(&keyless).await.unwrap();
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{edge}");
        }
    });
}

#[test]
fn a_backend_of_http_2_that_has_not_announced_upgrades_is_not_asked() {
    story(Duration::from_mins(1), async {
        let backend = Upgrading { announces: false, ..Upgrading::default() };
        let fleet = OF_HTTP2.fleet(TENANT, backend.start(echo).await).await;
        expect_no_upgrade(&fleet, StatusCode::NOT_IMPLEMENTED, Some("not-supported")).await;
    });
}

/// Upgrades get this answer, and the client's connection goes on.
async fn expect_no_upgrade(fleet: &Fleet, status: StatusCode, refusal: Option<&str>) {
    for edge in ["eu-central", "us-east"] {
        let mut connection = Connection::open(fleet.edge(edge)).await.unwrap();
        for _ in 0..2 {
            let ask = Ask::get(HOST, "/").header("connection", "upgrade").header("upgrade", "echo");
            let answer = connection.ask(&ask).await.unwrap();
            assert_eq!((answer.status, answer.refusal().as_deref()), (status, refusal), "{edge}");
            assert_eq!(connection.ask(&Ask::get(HOST, "/")).await.unwrap().body, "ok", "{edge}");
        }
        let mut connection = Connection::open_http2(fleet.edge(edge)).await.unwrap();
        for _ in 0..2 {
            assert_eq!(connection.ask(&Ask::get(HOST, "/")).await.unwrap().body, "ok", "{edge}");
            let mut request = Ask::with(Method::CONNECT, HOST, "/", "").request();
            request.extensions_mut().insert(Protocol::from_static("websocket"));
            assert_eq!(connection.start(request).await.unwrap().status(), status, "{edge}");
        }
    }
}

#[test]
fn connect_without_a_protocol_leads_nowhere() {
    story(Duration::from_mins(1), async {
        let fleet = Plan::new([EU_CENTRAL]).tenant("plain", PLAIN).start().await;
        let mut stream = TcpStream::connect(fleet.edge("eu-central")).await.unwrap();
        let request = format!("CONNECT {HOST}:443 HTTP/1.1\r\nhost: {HOST}:443\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 501 "), "{head}");
        let mut connection = Connection::open_http2(fleet.edge("eu-central")).await.unwrap();
        let request = http::Request::connect(format!("{HOST}:443"));
        let request = request.body(Ask::get(HOST, "/").request().into_body()).unwrap();
        assert_eq!(connection.start(request).await.unwrap().status(), StatusCode::NOT_IMPLEMENTED);
        assert_eq!(ask(fleet.edge("eu-central"), &Ask::get(HOST, "/")).await.status, StatusCode::OK);
    });
}

/// Answers in HTTP/1.1, and then as [`echo`].
#[expect(clippy::result_large_err, reason = "the library wants such a callback")]
async fn echoing() -> SocketAddr {
    raw_backend(async |stream| {
        let wanted = |request: &Request, mut response: Response| {
            if let Some(wanted) = request.headers().get("sec-websocket-protocol").cloned() {
                response.headers_mut().insert("sec-websocket-protocol", wanted);
            }
            Ok(response)
        };
        let Ok(socket) = accept_hdr_async(stream, wanted).await else { return };
        send_back(socket).await;
    })
    .await
}

/// A WebSocket that has been agreed on.
async fn echo(stream: UpgradedStream) {
    send_back(WebSocketStream::from_raw_socket(stream, Role::Server, None).await).await;
}

/// Sends back what it gets; the library answers pings and closes.
async fn send_back<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) {
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Switches, counts what comes until there is nothing more, and then says how much it was.
async fn counting() -> SocketAddr {
    raw_backend(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(SWITCHED).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(all.len().to_string().as_bytes()).await.unwrap();
    })
    .await
}

/// Switches, and tells when the client is gone.
async fn noticing() -> (SocketAddr, tokio::sync::mpsc::Receiver<()>) {
    let (tell, gone) = tokio::sync::mpsc::channel(8);
    let address = raw_backend(move |mut stream| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(SWITCHED).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            tell.send(()).await.unwrap();
        }
    });
    (address.await, gone)
}

const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: count\r\n\r\n";
/// Whose backend speaks HTTP/2.
const OF_HTTP2: Lone<'static> = Lone { rules: "", pool: "protocol = \"http2\"", tables: "" };
const TENANT: &str = "chat";
const HOST: &str = "chat.example";
const PLAIN: &str = "[[match]]\nhost = \"chat.example\"\n[residency]\nallow = [\"any\"]";
const LARGE_BYTES: usize = 16 * 1024 * 1024;
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
