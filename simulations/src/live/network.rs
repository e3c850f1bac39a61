//! The network between the nodes of a live fleet: a relay for every way to dial, which fares as the way does.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use graticule::demo::wan::{Relays, Road, Way, Weather};
use graticule::world::{Clock, World};

use super::files::{MESH_PORTS, Place, Roads};
use crate::Link;
use crate::fleet::FleetPlan;
use crate::link::Path;

/// All relays. They end with this.
pub(super) struct LiveNetwork {
    ways: Arc<Ways>,
    _relays: Relays,
}

/// Every direction between two nodes, by their positions in the fleet.
struct Ways {
    clock: Arc<dyn Clock>,
    paths: Mutex<BTreeMap<(usize, usize), Path>>,
}

impl LiveNetwork {
    /// Relays between all of these nodes; how each dials the others.
    pub(super) async fn start(
        places: &[Place],
        plan: &FleetPlan,
        seed: u64,
    ) -> io::Result<(Self, Vec<Roads>)> {
        let pairs = || (0..places.len()).flat_map(|from| (0..places.len()).map(move |to| (from, to)));
        let pairs: Vec<_> = pairs().filter(|(from, to)| from != to).collect();
        let path = |(from, to): (usize, usize)| {
            let link = plan.base_link(&places[from].name, &places[to].name)?;
            Some(((from, to), Path::new(link, seed, [from as u64, to as u64])))
        };
        let paths = Mutex::new(pairs.iter().copied().filter_map(path).collect());
        let ways = Arc::new(Ways { clock: World::system().clock, paths });
        let roads = pairs.iter().map(|(from, to)| Road {
            target: places[*to].mesh,
            ports: MESH_PORTS,
            weather: ways.weather(*from, *to),
        });
        let (relays, bases) = Relays::start(roads.collect()).await?;
        let mut dialled = vec![Roads::new(); places.len()];
        for ((from, to), base) in pairs.into_iter().zip(bases) {
            dialled[from].push((places[to].name.clone(), base));
        }
        Ok((Self { ways, _relays: relays }, dialled))
    }

    /// Changes one direction between two nodes.
    pub(super) fn shape(&self, from: usize, to: usize, link: Link) {
        if let Some(path) = self.ways.paths().get_mut(&(from, to)) {
            path.link = link;
        }
    }
}

impl Ways {
    /// How datagrams fare that one node sends through its relay to another, and the answers.
    fn weather(self: &Arc<Self>, from: usize, to: usize) -> Weather {
        let ways = Arc::clone(self);
        Arc::new(move |way, bytes| match way {
            Way::There => ways.cross((from, to), bytes),
            Way::Back => ways.cross((to, from), bytes),
        })
    }

    fn cross(&self, way: (usize, usize), bytes: usize) -> [Option<Duration>; 2] {
        let now = self.clock.now();
        let passage = self.paths().get_mut(&way).and_then(|path| path.cross(bytes, now));
        let late = passage.map(|passage| passage.late + passage.held);
        [late, passage.filter(|passage| passage.twice).map(|passage| passage.late)]
    }

    /// Held for one throw of dice, never over a wait.
    fn paths(&self) -> MutexGuard<'_, BTreeMap<(usize, usize), Path>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use graticule::demo::ports;
    use graticule::task;
    use graticule_geo::Coordinates;
    use tokio::net::UdpSocket;
    use tokio::time::timeout;

    use super::*;
    use crate::fleet::RegionPlan;

    const SOON: Duration = Duration::from_millis(300);

    async fn arrives(socket: &UdpSocket) -> Option<std::net::SocketAddr> {
        let mut buffer = [0; 16];
        timeout(SOON, socket.recv_from(&mut buffer)).await.ok().map(|received| received.unwrap().1)
    }

    #[test]
    fn a_way_is_cut_in_one_direction_and_both_dials_follow_it() {
        task::local_runtime().unwrap().block_on(async {
            let here = Coordinates::new(50.0, 8.0).unwrap();
            let region = RegionPlan { nodes: 2, ..RegionPlan::new("r", "DE".parse().unwrap(), here) };
            let (regions, tenants) = (vec![region.clone()], Vec::new());
            let jitter = Duration::ZERO;
            let plan = FleetPlan { regions, tenants, requests_in_flight_max: 1, jitter };
            let mut places = Vec::new();
            for name in region.node_names() {
                let mesh = ([127, 0, 0, 1], ports::lasting(MESH_PORTS).unwrap()).into();
                places.push(Place { name, region: region.clone(), http: mesh, admin: mesh, mesh });
            }
            let (network, roads) = LiveNetwork::start(&places, &plan, 1).await.unwrap();
            let (one, other) = (
                UdpSocket::bind(places[0].mesh).await.unwrap(),
                UdpSocket::bind(places[1].mesh).await.unwrap(),
            );
            let (there, back) = (roads[0][0].1, roads[1][0].1);
            one.send_to(b"dial", there).await.unwrap();
            let flow = arrives(&other).await.unwrap();
            let cut = Link { cut: true, ..plan.base_link("r-1", "r-2").unwrap() };

            network.shape(1, 0, cut);
            other.send_to(b"answer", flow).await.unwrap();
            other.send_to(b"dial", back).await.unwrap();
            assert_eq!(
                arrives(&one).await,
                None,
                "neither answers nor dials get from the second to the first"
            );
            one.send_to(b"again", there).await.unwrap();
            assert_eq!(arrives(&other).await, Some(flow), "the other direction is not touched");

            network.shape(1, 0, Link { cut: false, ..cut });
            other.send_to(b"answer", flow).await.unwrap();
            assert_eq!(arrives(&one).await, Some(there));
        });
    }
}
