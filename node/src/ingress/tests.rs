//! What clients may do, and what cuts them off.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use graticule_node_core::config::{self, Http2Limits};
use graticule_node_core::shared::InFlightGauges;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::task::Task;
use crate::testing::{LOOPBACK, eventually, raw, run};
use crate::world::World;

mod gone;
mod http2;

/// Answers with the size of the body and who sent it.
#[derive(Default)]
struct Sizes {
    under_way: Cell<usize>,
    /// What it has heard of requests that it was not given.
    refused: RefCell<Vec<(Version, Reason)>>,
    /// What it has heard of clients that were cut off.
    floods: RefCell<Vec<Flood>>,
    /// Why connections were closed before their first request.
    rejections: RefCell<Vec<&'static str>>,
}

impl Handler for Sizes {
    fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        client: &Client,
    ) -> impl Future<Output = Answered> + use<> {
        let peer = client.address;
        async move {
            self.under_way.set(self.under_way.get() + 1);
            let size = request.into_body().collect().await.map(|body| body.to_bytes().len());
            self.under_way.set(self.under_way.get() - 1);
            Ok(Response::new(ResponseBody::own(Bytes::from(format!("{peer} {size:?}")))))
        }
    }

    fn refused(&self, version: Version, reason: Reason) {
        self.refused.borrow_mut().push((version, reason));
    }

    fn flooded(&self, flood: Flood) {
        self.floods.borrow_mut().push(flood);
    }

    fn rejected(&self, rejection: Rejection) {
        self.rejections.borrow_mut().push(rejection.label());
    }
}

impl Sizes {
    /// Waits until it has heard of such requests of HTTP/1, and of no others.
    async fn until_told(&self, reasons: impl IntoIterator<Item = Reason>) {
        let expected: Vec<_> = reasons.into_iter().map(|reason| (Version::HTTP_11, reason)).collect();
        eventually("it is told", || *self.refused.borrow() == expected).await;
    }
}

fn limits() -> IngressLimits {
    limits_with(|_| {})
}

/// [`limits`], but for what is changed.
fn limits_with(change: impl FnOnce(&mut config::IngressLimits)) -> IngressLimits {
    let mut client = config::IngressLimits {
        connections_max: 2,
        header_bytes_max: 8_192,
        headers_max: 10,
        body_timeout: Duration::from_millis(300),
        upgrade_timeout: Duration::from_secs(10),
        sniff_timeout: Duration::from_millis(300),
        proxy_timeout: Duration::from_millis(300),
        handshake_timeout: Duration::from_millis(300),
        header_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
    };
    change(&mut client);
    IngressLimits { client, http2: Http2Limits::default() }
}

struct Running {
    phase: watch::Sender<Phase>,
    open: InFlight,
    _task: Task,
}

fn start(limits: IngressLimits) -> (SocketAddr, Rc<Sizes>, Running) {
    start_behind(limits, &[])
}

/// Behind load balancers of these networks.
fn start_behind(limits: IngressLimits, announcing: &[&str]) -> (SocketAddr, Rc<Sizes>, Running) {
    start_secured(limits, announcing, None)
}

fn start_secured(
    limits: IngressLimits,
    announcing: &[&str],
    tls: Option<Arc<ServerConfig>>,
) -> (SocketAddr, Rc<Sizes>, Running) {
    let handler = Rc::new(Sizes::default());
    let (address, running) = serve_secured(&handler, limits, announcing, tls);
    (address, handler, running)
}

fn serve<H: Handler>(handler: &Rc<H>, limits: IngressLimits, announcing: &[&str]) -> (SocketAddr, Running) {
    serve_secured(handler, limits, announcing, None)
}

fn serve_secured<H: Handler>(
    handler: &Rc<H>,
    limits: IngressLimits,
    announcing: &[&str],
    tls: Option<Arc<ServerConfig>>,
) -> (SocketAddr, Running) {
    let announcing = announcing.iter().map(|network| network.parse().unwrap()).collect();
    let listener = World::system().net.listen(LOOPBACK, false).unwrap();
    let address = listener.local_address().unwrap();
    let (phase, phases) = watch::channel(Phase::Serving);
    let open = InFlightGauges::new(1).worker(0).unwrap();
    let serving = super::run(
        vec![Entrance { listener, announcing, tls }],
        limits,
        Rc::clone(handler),
        (open.clone(), phases),
    );
    (address, Running { phase, open, _task: task::spawn("ingress", serving) })
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n";

#[test]
fn requests_are_answered_one_after_the_other_on_one_connection() {
    run(async {
        let (address, _handler, _running) = start(limits());
        let two = format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc{GET}connection: close\r\n\r\n"
        );
        let answers = raw(address, &two).await;
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
        assert!(answers.contains("127.0.0.1 Ok(3)") && answers.ends_with("127.0.0.1 Ok(0)"), "{answers}");
    });
}

#[test]
fn heads_over_their_limits_are_refused() {
    run(async {
        let (address, handler, _running) = start(limits());
        let long = raw(address, &format!("{GET}x-long: {}\r\n\r\n", "x".repeat(9_000))).await;
        assert!(long.starts_with("HTTP/1.1 431"), "{long}");
        let many = (0..11).map(|at| format!("x-{at}: 1\r\n")).collect::<Vec<_>>().concat();
        let many = raw(address, &format!("{GET}{many}\r\n")).await;
        assert!(many.starts_with("HTTP/1.1 431"), "{many}");
        handler.until_told([Reason::HeadersTooLarge; 2]).await;
        let fits =
            raw(address, &format!("{GET}x-long: {}\r\nconnection: close\r\n\r\n", "x".repeat(7_000))).await;
        assert!(fits.starts_with("HTTP/1.1 200"), "{fits}");
    });
}

#[test]
fn what_is_no_http_is_refused() {
    run(async {
        let (address, handler, _running) = start(limits());
        for text in [
            "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        ] {
            let answer = raw(address, text).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{text:?}: {answer}");
        }
        // The first was of another protocol.
        handler.until_told([Reason::BadRequest; 3]).await;
    });
}

#[test]
fn a_head_that_takes_too_long_ends_the_connection() {
    run(async {
        let (address, handler, _running) = start(limits());
        let mut told = 0;
        for opening in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: a\r\n"] {
            let begun = tokio::time::Instant::now();
            let answer = raw(address, opening).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
            told += usize::from(!answer.is_empty());
            assert!((250..3_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        }
        assert!(told > 0, "none got as far as a head");
        handler.until_told(std::iter::repeat_n(Reason::RequestTimeout, told)).await;
    });
}

#[test]
fn further_connections_wait_for_a_place() {
    run(async {
        let (address, _handler, _running) =
            start(limits_with(|limits| limits.sniff_timeout = Duration::from_secs(10)));
        let idle = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut third = TcpStream::connect(address).await.unwrap();
        third.write_all(format!("{GET}connection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        let waiting =
            tokio::time::timeout(Duration::from_millis(200), third.read_to_string(&mut answer)).await;
        assert!(waiting.is_err(), "there is no place yet: {answer}");
        drop(idle);
        third.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    });
}

#[test]
fn a_client_that_goes_away_ends_its_request() {
    run(async {
        let (address, handler, _running) = start(limits());
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
        eventually("it is there", || handler.under_way.get() == 1).await;
        drop(stream);
        eventually("it is over", || handler.under_way.get() == 0).await;
    });
}

/// One of those under way, until this is dropped.
struct UnderWay(Rc<Cell<usize>>);

impl UnderWay {
    fn begin(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Answers without end.
#[derive(Default)]
struct Talker {
    under_way: Rc<Cell<usize>>,
}

impl Handler for Talker {
    fn handle(self: Rc<Self>, _: Request<Incoming>, _: &Client) -> impl Future<Output = Answered> + use<> {
        let (sender, body) = crate::pool::testing::channel();
        let under_way = UnderWay::begin(&self.under_way);
        task::spawn_detached("talk", async move {
            let _under_way = under_way;
            let piece = Bytes::from(vec![b'x'; 64 * 1024]);
            while sender.send(Ok(http_body::Frame::data(piece.clone()))).await.is_ok() {}
        });
        std::future::ready(Ok(Response::new(ResponseBody::test(body))))
    }

    fn refused(&self, _: Version, reason: Reason) {
        panic!("{reason:?}");
    }

    fn flooded(&self, flood: Flood) {
        panic!("{flood:?}");
    }

    fn rejected(&self, rejection: Rejection) {
        panic!("{rejection:?}");
    }
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_given_up() {
    run(async {
        let talker = Rc::new(Talker::default());
        let (address, _running) = serve(&talker, limits(), &[]);
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(format!("{GET}\r\n").as_bytes()).await.unwrap();
        let mut reader = TcpStream::connect(address).await.unwrap();
        reader.write_all(format!("{GET}\r\n").as_bytes()).await.unwrap();
        eventually("both are answered", || talker.under_way.get() == 2).await;
        let mut piece = vec![0; 256 * 1024];
        let begun = tokio::time::Instant::now();
        while talker.under_way.get() == 2 {
            assert!(begun.elapsed() < Duration::from_secs(5), "the idle one is never given up");
            reader.read_exact(&mut piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
        reader.read_exact(&mut piece).await.expect("who takes something now and then stays");
    });
}

/// Reads one answer with a body of this length.
async fn answer(stream: &mut TcpStream, body_ends_with: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(body_ends_with) {
        let mut bytes = [0; 512];
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "the connection ended after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    text
}

#[test]
fn a_closing_node_ends_idle_connections_and_says_which_answer_is_the_last() {
    run(async {
        let (address, handler, running) = start(limits_with(|limits| limits.connections_max = 10));
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(format!("{GET}\r\n").as_bytes()).await.unwrap();
        let before = answer(&mut idle, "Ok(0)").await;
        assert!(!before.contains("connection: close"), "{before}");
        let mut busy = TcpStream::connect(address).await.unwrap();
        busy.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na").await.unwrap();
        eventually("its request is under way", || handler.under_way.get() == 1).await;
        let mut late = TcpStream::connect(address).await.unwrap();

        running.phase.send_replace(Phase::Closing);
        eventually("nobody else can connect", || std::net::TcpStream::connect(address).is_err()).await;
        assert_eq!(running.open.count(), 3, "the listener counts no more, and every connection does");
        late.write_all(format!("{GET}\r\n").as_bytes()).await.unwrap();
        let last = answer(&mut late, "Ok(0)").await;
        assert!(last.contains("\r\nconnection: close\r\n"), "a request on its way is answered: {last}");

        let mut rest = String::new();
        idle.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "", "the idle connection just ends");
        busy.write_all(b"bc").await.unwrap();
        let last = answer(&mut busy, "Ok(3)").await;
        assert!(last.contains("\r\nconnection: close\r\n"), "{last}");
        eventually("no connection is left", || running.open.count() == 0).await;
    });
}

#[test]
fn what_the_kernel_has_accepted_is_served_before_the_listener_goes() {
    run(async {
        let (address, _handler, running) = start(limits_with(|limits| limits.connections_max = 1));
        let mut streams = Vec::new();
        for _ in 0..20 {
            // Blocking: the runtime accepts none of them meanwhile, and has room for one at a time.
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            std::io::Write::write_all(&mut stream, format!("{GET}\r\n").as_bytes()).unwrap();
            streams.push(stream);
        }
        running.phase.send_replace(Phase::Closing);
        for stream in streams {
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream).unwrap();
            let mut answered = String::new();
            stream.read_to_string(&mut answered).await.unwrap();
            assert!(answered.starts_with("HTTP/1.1 200"), "{answered:?}");
        }
        eventually("no connection is left", || running.open.count() == 0).await;
        assert!(TcpStream::connect(address).await.is_err());
    });
}

#[test]
fn a_load_balancer_says_who_the_client_is() {
    run(async {
        let (address, _handler, _running) = start_behind(limits(), &["127.0.0.0/8"]);
        let request = format!("{GET}connection: close\r\n\r\n");
        let named = raw(address, &format!("PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n{request}")).await;
        assert!(named.ends_with("192.0.2.7 Ok(0)"), "{named}");
        let itself = raw(address, &format!("PROXY UNKNOWN\r\n{request}")).await;
        assert!(itself.ends_with("127.0.0.1 Ok(0)"), "{itself}");
        assert_eq!(raw(address, &request).await, "", "a header is expected from there");
    });
}

#[test]
fn a_header_that_takes_too_long_ends_the_connection() {
    run(async {
        let (address, _handler, _running) = start_behind(limits(), &["127.0.0.1/32"]);
        for opening in ["", "PROXY TCP4 192.0.2.7"] {
            let begun = tokio::time::Instant::now();
            assert_eq!(raw(address, opening).await, "");
            assert!((250..3_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        }
    });
}

#[test]
fn nobody_else_says_who_the_client_is() {
    run(async {
        let (address, _handler, _running) = start_behind(limits(), &["10.0.0.0/8"]);
        let lie = raw(address, &format!("PROXY TCP4 192.0.2.7 10.0.0.1 4660 80\r\n{GET}\r\n")).await;
        assert!(lie.is_empty() || lie.starts_with("HTTP/1.1 400"), "{lie}");
    });
}

/// TLS without any certificate.
fn tls() -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(
        tls.with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::server::ResolvesServerCertUsingSni::new())),
    )
}

/// What a client begins TLS with that asks for a name.
fn hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let name = "nobody.example".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Why connections that begin with each of these are closed; they say nothing more, and do not end by themselves.
async fn rejections(
    announcing: &[&str],
    tls: Option<Arc<ServerConfig>>,
    openings: &[&[u8]],
) -> Vec<&'static str> {
    let (address, handler, _running) = start_secured(limits(), announcing, tls);
    for opening in openings {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(opening).await.unwrap();
        let mut rest = Vec::new();
        // It may be reset.
        let _ = stream.read_to_end(&mut rest).await;
    }
    handler.rejections.borrow().clone()
}

#[test]
fn a_connection_that_is_closed_before_its_first_request_leaves_its_reason() {
    run(async {
        let balancer: &[&str] = &["127.0.0.0/8"];
        let late = b"PROXY TCP4 203.0.113.7 ";
        let headers: &[&[u8]] = &[b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"PROXY nonsense\r\n\r\n", late];
        assert_eq!(
            rejections(balancer, None, headers).await,
            ["proxy-header-missing", "proxy-header-malformed", "proxy-header-timeout"]
        );
        let (hello, half) = (hello(), &hello()[..9]);
        assert_eq!(
            rejections(&[], Some(tls()), &[&hello, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", half]).await,
            ["unknown-server-name", "tls-handshake", "tls-timeout"]
        );
        assert_eq!(
            rejections(&[], None, &[b"\x16\x03\x01\x02\r\n", b""]).await,
            ["not-http", "first-bytes-timeout"]
        );
    });
}

#[test]
fn a_client_that_goes_by_itself_was_not_rejected() {
    run(async {
        let (address, handler, _running) = start_secured(limits(), &[], Some(tls()));
        for opening in [&b""[..], &hello()[..9]] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(opening).await.unwrap();
        }
        raw(address, GET).await;
        assert_eq!(*handler.rejections.borrow(), ["tls-handshake"], "those before it have ended before");
    });
}
