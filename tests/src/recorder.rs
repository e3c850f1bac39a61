//! A backend that knows nothing but RFC 9112: which requests does it get, and does everything keep to the letter?

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A recording backend on the runtime that it was started on. It answers 200 to every whole request.
#[derive(Debug)]
pub struct Recorder {
    /// Where it is.
    pub address: SocketAddr,
    record: Rc<RefCell<Record>>,
}

/// What it has recorded.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Requests, in the order of arrival.
    pub requests: Vec<Recorded>,
    /// Bytes that are not exactly as RFC 9112 has them, and what is wrong.
    pub faults: Vec<String>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Path and query.
    pub target: String,
    /// As much of the body as came.
    pub body: Vec<u8>,
    /// Whether all of it did.
    pub is_whole: bool,
}

impl Recorder {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let record = Rc::<RefCell<Record>>::default();
        let recorded = Rc::clone(&record);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a backend can accept");
                let recorded = Rc::clone(&recorded);
                tokio::task::spawn_local(async move {
                    let mut connection = Connection { reader: BufReader::new(stream), record: recorded };
                    if let Err(Broken::Fault(fault)) = connection.serve().await {
                        connection.record.borrow_mut().faults.push(fault);
                    }
                });
            }
        });
        Self { address, record }
    }

    /// Everything so far.
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }
}

struct Connection {
    reader: BufReader<TcpStream>,
    record: Rc<RefCell<Record>>,
}

enum Broken {
    /// The other end went away.
    Gone,
    /// It sent what it may not.
    Fault(String),
}

impl From<std::io::Error> for Broken {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

fn fault<T>(what: &str, bytes: &[u8]) -> Result<T, Broken> {
    Err(Broken::Fault(format!("{what}: {}", bytes.escape_ascii())))
}

/// How long a body is.
#[derive(Clone, Copy)]
enum Length {
    Known(usize),
    Chunks,
}

impl Connection {
    async fn serve(&mut self) -> Result<(), Broken> {
        loop {
            let line = self.line().await?;
            let target = target(&line)?;
            let length = self.headers().await?;
            let entry = {
                let mut record = self.record.borrow_mut();
                record.requests.push(Recorded { target, body: Vec::new(), is_whole: false });
                record.requests.len() - 1
            };
            match length {
                Length::Known(bytes) => self.body(entry, bytes).await?,
                Length::Chunks => self.chunks(entry).await?,
            }
            self.record.borrow_mut().requests[entry].is_whole = true;
            self.reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
        }
    }

    /// A line without its end, which is CR LF; there is no other control character in it.
    async fn line(&mut self) -> Result<Vec<u8>, Broken> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).await?;
        if !line.ends_with(b"\n") {
            return Err(Broken::Gone);
        }
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return fault("a line that ends in LF alone", &line);
        };
        if text.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return fault("a control character", text);
        }
        Ok(text.to_vec())
    }

    async fn headers(&mut self) -> Result<Length, Broken> {
        let (mut length, mut hosts) = (None, 0);
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = field(&line)?;
            let announced = match name.as_str() {
                "content-length" => Some(Length::Known(decimal(&value)?)),
                "transfer-encoding" if value == b"chunked" => Some(Length::Chunks),
                "transfer-encoding" => return fault("a coding", &value),
                _ => None,
            };
            if announced.is_some() && length.is_some() {
                return fault("a second length", &line);
            }
            length = length.or(announced);
            hosts += usize::from(name == "host");
        }
        if hosts == 1 { Ok(length.unwrap_or(Length::Known(0))) } else { fault("hosts other than one", b"") }
    }

    async fn body(&mut self, entry: usize, mut bytes: usize) -> Result<(), Broken> {
        while bytes > 0 {
            let mut piece = vec![0; bytes.min(PIECE_BYTES_MAX)];
            let read = self.reader.read(&mut piece).await?;
            if read == 0 {
                return Err(Broken::Gone);
            }
            self.record.borrow_mut().requests[entry].body.extend_from_slice(&piece[..read]);
            bytes -= read;
        }
        Ok(())
    }

    async fn chunks(&mut self, entry: usize) -> Result<(), Broken> {
        loop {
            let line = self.line().await?;
            let size = std::str::from_utf8(&line).ok().filter(|_| line.iter().all(u8::is_ascii_hexdigit));
            let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
                return fault("a chunk's size", &line);
            };
            if size == 0 {
                break;
            }
            self.body(entry, size).await?;
            let end = self.line().await?;
            if !end.is_empty() {
                return fault("after a chunk", &end);
            }
        }
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(());
            }
            let (name, _) = field(&line)?;
            if ["content-length", "transfer-encoding", "host", "connection"].contains(&&*name) {
                return fault("a trailer", &line);
            }
        }
    }
}

fn target(line: &[u8]) -> Result<String, Broken> {
    let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let [method, target, b"HTTP/1.1"] = words[..] else { return fault("a request line", line) };
    let is_origin = target.starts_with(b"/") && target.iter().all(u8::is_ascii_graphic);
    if !(is_token(method) && is_origin) {
        return fault("a request line", line);
    }
    Ok(String::from_utf8_lossy(target).into_owned())
}

fn field(line: &[u8]) -> Result<(String, Vec<u8>), Broken> {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or_default();
    let (name, value) = line.split_at(colon);
    if !is_token(name) {
        return fault("a header's name", line);
    }
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value[1..].trim_ascii().to_vec()))
}

fn decimal(value: &[u8]) -> Result<usize, Broken> {
    let text = std::str::from_utf8(value).ok().filter(|_| value.iter().all(u8::is_ascii_digit));
    text.and_then(|text| text.parse().ok()).map_or_else(|| fault("a length", value), Ok)
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

const PIECE_BYTES_MAX: usize = 16 * 1024;
