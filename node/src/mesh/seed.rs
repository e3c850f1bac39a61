//! Seeds: nodes to begin with, of which only an address is known.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use graticule_node_core::mesh::Backoff;
use rand::RngCore;
use tokio::time::timeout;

use super::link::Ending;
use super::{Mesh, Role, Seed};
use crate::identity::Expect;
use crate::task;
use crate::tunnel::{self, Carries, Dial, Farewell, PeeringError};

impl Mesh {
    /// Keeps a tunnel to every seed.
    pub(super) async fn keep_seeds(self: Rc<Self>) {
        let keepers: Vec<_> = self
            .settings
            .seeds
            .iter()
            .map(|seed| task::spawn("seed", Rc::clone(&self).keep_seed(seed.clone())))
            .collect();
        std::future::pending::<()>().await;
        drop(keepers);
    }

    async fn keep_seed(self: Rc<Self>, seed: Seed) {
        let mut backoff = Backoff::default();
        let mut chance = self.world.chance.generator();
        let mut said = None;
        loop {
            let met = self.meet_seed(&seed).await;
            if self.shared.drain.is_finished() {
                return;
            }
            match met {
                Ok(None) => backoff.ended(Duration::ZERO),
                Ok(Some(Ending { reason, stood, .. })) => {
                    backoff.ended(stood);
                    said = None;
                    tracing::info!(
                        seed = seed.host_and_port,
                        reason,
                        "the tunnel to a seed ended; dialling it again"
                    );
                }
                Err(error) if said.as_ref() != Some(&error) => {
                    tracing::warn!(seed = seed.host_and_port, %error, "cannot reach a seed; trying again");
                    said = Some(error);
                }
                Err(error) => tracing::debug!(seed = seed.host_and_port, %error, "cannot reach a seed"),
            }
            tokio::time::sleep(backoff.next(chance.next_u32())).await;
        }
    }

    /// Dials a seed and keeps it until it is lost; `None` if it is this node, as in a list that all nodes share.
    async fn meet_seed(self: &Rc<Self>, seed: &Seed) -> Result<Option<Ending>, PeeringError> {
        let resolving = self.world.names.resolve(&seed.host_and_port);
        let resolved =
            timeout(RESOLVE_TIMEOUT, resolving).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        let addresses =
            resolved.map_err(|error| PeeringError::Local(format!("cannot resolve it: {error}")))?;
        if addresses.is_empty() {
            return Err(PeeringError::Local("its name has no address".to_owned()));
        }
        let Some(address) = addresses.into_iter().find(|address| !self.is_own(*address)) else {
            return Ok(None);
        };
        let dial = Dial { address, expect: Expect::ANY, expected_rtt: SEED_RTT, carries: Carries::Control };
        let admit = |peer: &_| self.admit(peer);
        let (connection, peer) = tunnel::dial(&self.endpoint, &self.identity, dial, admit).await?;
        let begun = self.world.clock.now();
        self.links.learn_address(seed.alias, &peer.node);
        let serving = Rc::clone(self).serve_link(connection.clone(), peer.clone(), Role::Seed);
        let (reason, ()) = tokio::join!(tunnel::until_closed(&connection, &peer, admit), serving);
        let (stood, farewell) = (self.world.clock.now().since(begun), Farewell::of(&connection));
        Ok(Some(Ending { reason, stood, farewell }))
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        let own = &self.shared.snapshot().here.node;
        let announced = self.view.borrow().members.get(own).map(|member| member.announcement.mesh.base);
        announced == Some(address) || self.endpoint.local_addr().is_ok_and(|local| local == address)
    }
}

/// Where a seed is, is not known before it has said so.
const SEED_RTT: Duration = Duration::from_millis(200);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
