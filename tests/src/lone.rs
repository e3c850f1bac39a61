//! A fleet whose only tenant has one backend, which the test brings along.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::{EU_CENTRAL, Fleet, Plan, US_EAST};

/// What is special about the tenant and the nodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lone<'a> {
    /// Keys of the tenant's document.
    pub rules: &'a str,
    /// Keys of its pool.
    pub pool: &'a str,
    /// Tables of every node's configuration.
    pub tables: &'a str,
}

impl Lone<'_> {
    /// Starts two regions for the tenant of `TENANT.example`, whose backend is in the first, Frankfurt.
    pub async fn fleet(self, tenant: &str, backend: SocketAddr) -> Fleet {
        let Self { rules, pool, tables } = self;
        let mut fleet = Fleet::prepare(Plan::new([EU_CENTRAL, US_EAST])).await;
        let head =
            format!("version = 1\nid = \"{tenant}\"\n{rules}\nmatch = [{{ host = \"{tenant}.example\" }}]");
        let pool = format!("[pools.eu-central]\n{pool}\nbackends = [\"{backend}\"]");
        let document = format!("{head}\nresidency = {{ allow = [\"any\"] }}\n{pool}\n");
        let file = fleet.documents().join(format!("tenants/{tenant}.toml"));
        fs::write(file, document).expect("a directory of the test's own can be written to");
        for node in &mut fleet.nodes {
            node.configure_also(tables);
            node.start();
        }
        fleet.until_connected().await;
        fleet
    }
}

/// A backend that treats every connection with `serve`, byte by byte.
pub async fn raw_backend<F>(serve: impl Fn(TcpStream) -> F + 'static) -> SocketAddr
where
    F: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::task::spawn_local(serve(stream));
        }
    });
    address
}

/// A head of HTTP/1, up to its empty line, and nothing behind it.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(HEAD_LIMIT, stream.read_u8()).await.expect("a head in time");
        head.push(byte.unwrap_or_else(|error| panic!("{error} after {}", head.escape_ascii())));
    }
    String::from_utf8(head).expect("a head in ASCII")
}

const HEAD_LIMIT: Duration = Duration::from_secs(15);
