//! What tests of several parts need: two nodes with a tunnel between them, documents, bodies, and plain HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::pool::checks::CheckedPolicy;
use bytes::Bytes;
use graticule_geo::Locator;
use graticule_node_core::decide::Here;
use graticule_node_core::document::{self, Source};
use graticule_node_core::mesh::{Condition, Cost, MeshState, PeerId, PeerState, Preference, RegionState};
use graticule_node_core::{Policy, Snapshot};
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use quinn::{Connection, Endpoint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::identity::testing::{authority, identity};
use crate::identity::{Expect, Identity};
use crate::shared::PeerTarget;
use crate::task;
use crate::tunnel::{self, Carries, Dial};
use crate::world::World;

pub(crate) const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Runs a test on a runtime like a worker's.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    task::local_runtime().unwrap().block_on(async {
        tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test hangs")
    })
}

/// Waits until `condition` holds, and fails if that takes too long.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("not within five seconds: {what}");
}

/// One end of a pair.
pub(crate) struct End {
    pub(crate) identity: Identity,
    pub(crate) endpoint: Endpoint,
    pub(crate) connection: Connection,
}

/// A tunnel between `edge-1` in `us` and `node-1` in `eu`.
pub(crate) struct Pair {
    pub(crate) edge: End,
    pub(crate) node: End,
}

pub(crate) fn endpoint(identity: &Identity) -> Endpoint {
    let server = (identity.server_config().unwrap(), &identity.tunnel_secret());
    tunnel::bind(&World::system(), LOOPBACK, server, Carries::Requests).unwrap()
}

pub(crate) fn dial_to(endpoint: &Endpoint) -> Dial {
    Dial {
        address: endpoint.local_addr().unwrap(),
        expect: Expect::ANY,
        expected_rtt: Duration::from_millis(1),
        carries: Carries::Requests,
    }
}

pub(crate) async fn pair() -> Pair {
    let authority = authority("atlas");
    let (edge, node) = (identity(&authority, "us", "edge-1"), identity(&authority, "eu", "node-1"));
    let (at_edge, at_node) = (endpoint(&edge), endpoint(&node));
    let dialling = tunnel::dial(&at_edge, &edge, dial_to(&at_node), |_| Ok(()));
    let accepting = async { at_node.accept().await.unwrap().await.unwrap() };
    let (dialled, accepted) = tokio::join!(dialling, accepting);
    Pair {
        edge: End { identity: edge, endpoint: at_edge, connection: dialled.unwrap().0 },
        node: End { identity: node, endpoint: at_node, connection: accepted },
    }
}

pub(crate) fn target(id: u32, node: &str, region: &str, base: SocketAddr) -> PeerTarget {
    PeerTarget {
        id: PeerId(id),
        node: node.parse().unwrap(),
        region: region.parse().unwrap(),
        base,
        workers: 1,
        expected_rtt: Duration::from_millis(1),
    }
}

/// Regions `eu`, `us` and `asia`.
pub(crate) const FLEET: &str = r#"
version = 3
mesh = "atlas"
revoked = ["thief"]
[regions.eu]
country = "DE"
latitude = 50.0
longitude = 8.0
[regions.us]
country = "US"
latitude = 39.0
longitude = -77.0
[regions.asia]
country = "SG"
latitude = 1.0
longitude = 103.0
"#;

pub(crate) fn policy(tenants: &[String]) -> Policy {
    let named = |(at, text): (usize, &String)| Source::new(format!("{at}.toml"), text.clone());
    let tenants: Vec<_> = tenants.iter().enumerate().map(named).collect();
    document::load(&Source::new("fleet.toml", FLEET), &tenants).expect("the documents are good").policy
}

/// A tenant at `<id>.example` that may be served in these countries, with a pool in each of `pools`.
pub(crate) fn tenant(id: &str, countries: &[&str], pools: &[(&str, SocketAddr)]) -> String {
    let countries: Vec<_> = countries.iter().map(|country| format!("\"country:{country}\"")).collect();
    let pools: Vec<_> = pools
        .iter()
        .map(|(region, address)| format!("[pools.{region}]\nbackends = [\"{address}\"]\n"))
        .collect();
    let pools = pools.concat();
    format!(
        "version = 5\nid = \"{id}\"\n[[match]]\nhost = \"{id}.example\"\n[residency]\nallow = [{}]\n{pools}",
        countries.join(", ")
    )
}

/// A snapshot of `node` in `region`, with these peers in other regions, each usable.
pub(crate) fn snapshot(policy: Policy, (node, region): (&str, &str), peers: &[PeerTarget]) -> Snapshot {
    let here = policy.fleet.region_by_name(&region.parse().unwrap()).unwrap();
    let peer = |target: &PeerTarget| PeerState {
        id: target.id,
        node: target.node.clone(),
        condition: Condition::Usable,
        exceptions: Arc::default(),
        load: None,
        rtt: None,
        patience: Duration::from_millis(150),
    };
    let state = |region: &graticule_node_core::policy::Region| RegionState {
        cost: Cost(1_000),
        load: 0.0,
        peers: peers.iter().filter(|target| target.region == region.name).map(peer).collect(),
    };
    let regions = policy.fleet.regions.iter().map(state).collect();
    let region = region.parse().unwrap();
    let CheckedPolicy { policy, pools } =
        CheckedPolicy::unchecked(Arc::new(policy), &region, graticule_node_core::Moment::default());
    Snapshot {
        policy,
        locator: Arc::new(Locator::default()),
        mesh: Arc::new(MeshState { regions, preference: Preference::default() }),
        pools,
        tallies: Arc::default(),
        here: Here { node: node.parse().unwrap(), region: here },
    }
}

/// Data and trailers of a body, to its end.
pub(crate) async fn collect<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
) -> Result<(Vec<u8>, Option<HeaderMap>), B::Error> {
    let (mut data, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(chunk) => data.extend_from_slice(&chunk),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((data, trailers))
}

/// The only value of its name.
pub(crate) fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// A body of these frames, of unknown length.
pub(crate) fn frames(
    frames: Vec<Result<Frame<Bytes>, std::io::Error>>,
) -> impl Body<Data = Bytes, Error = std::io::Error> + Send + 'static {
    let (sender, receiver) = tokio::sync::mpsc::channel(frames.len().max(1));
    for frame in frames {
        sender.try_send(frame).unwrap();
    }
    crate::pool::testing::ChannelBody(receiver)
}

/// Sends `request` as it is and reads what comes back until the connection ends.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after an answer is an end, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
