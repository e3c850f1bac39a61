//! How two nodes meet: one dials, both check who the other is, and both say why if it ends there.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use graticule_gossip_core::NodeName;
use graticule_node_core::policy::Fleet;
use quinn::{Connection, Endpoint, Incoming, VarInt};
use tokio::time::{Instant, timeout};

use super::door::{Door, Knock};
use super::transport::{Carries, TransportSettings, close_text, transport};
use crate::identity::refusal::{self, Refusal};
use crate::identity::{Expect, Identity, PeerIdentity};
use crate::task;

/// Why there is no tunnel to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeeringError {
    /// Nothing was heard: the peer is down, or UDP does not reach it.
    Silent {
        /// How long was waited.
        waited: Duration,
    },
    /// The handshake failed, or the peer closed the connection; with its reason.
    Refused(String),
    /// This node does not want that peer.
    NotAdmitted(String),
    /// This node could not even try.
    Local(String),
}

impl fmt::Display for PeeringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { waited } => write!(
                f,
                "no answer for {} ms: the peer is down, or UDP is blocked on the way",
                waited.as_millis()
            ),
            Self::Refused(reason) | Self::NotAdmitted(reason) | Self::Local(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for PeeringError {}

/// Who is to be dialled, and where.
#[derive(Debug, Clone)]
pub struct Dial {
    /// The address.
    pub address: SocketAddr,
    /// Who must answer there.
    pub expect: Expect,
    /// The round trip expected from the distance of the regions.
    pub expected_rtt: Duration,
    /// What the tunnel is for.
    pub carries: Carries,
}

/// Dials a peer and checks it on this side; the peer checks on its own.
pub async fn dial(
    endpoint: &Endpoint,
    identity: &Identity,
    dial: Dial,
    admit: impl Fn(&PeerIdentity) -> Result<(), Refusal>,
) -> Result<(Connection, PeerIdentity), PeeringError> {
    let local = |error: &dyn fmt::Display| PeeringError::Local(error.to_string());
    let mut config = identity.client_config(dial.expect).map_err(|error| local(&error))?;
    let settings = TransportSettings { initial_rtt: dial.expected_rtt, carries: dial.carries, dialled: true };
    config.transport_config(transport(settings));
    let connecting =
        endpoint.connect_with(config, dial.address, SERVER_NAME).map_err(|error| local(&error))?;
    let connection = timeout(CONNECT_DEADLINE, connecting)
        .await
        .map_err(|_| PeeringError::Silent { waited: CONNECT_DEADLINE })?
        .map_err(|error| PeeringError::Refused(close_text(&error)))?;
    let peer = admitted(&connection, &admit)?;
    Ok((connection, peer))
}

/// Dials by `dial`, and from the beginning whenever `back` says that the peer has come back meanwhile: what was sent to it
/// before is lost, and would be sent again only after ever longer waits. A handshake under way gets time to end first.
pub async fn dial_afresh<D: Future, B: Future<Output = ()>>(
    dial: impl Fn() -> D,
    back: impl Fn() -> B,
    expected_rtt: Duration,
) -> D::Output {
    let grace = expected_rtt.saturating_mul(2) + HANDSHAKE_TIME;
    loop {
        let mut dialling = pin!(dial());
        tokio::select! {
            biased;
            dialled = dialling.as_mut() => return dialled,
            () = back() => {}
        }
        if let Ok(dialled) = timeout(grace, dialling).await {
            return dialled;
        }
    }
}

fn admitted(
    connection: &Connection,
    admit: impl Fn(&PeerIdentity) -> Result<(), Refusal>,
) -> Result<PeerIdentity, PeeringError> {
    let peer = Identity::peer(connection).map_err(|error| {
        connection.close(UNREADABLE, error.to_string().as_bytes());
        PeeringError::NotAdmitted(error.to_string())
    })?;
    admit(&peer).map_err(|refusal| {
        refusal.close(connection);
        PeeringError::NotAdmitted(format!(
            "{} (node `{}`, region `{}`)",
            refusal.text(),
            peer.node,
            peer.region
        ))
    })?;
    Ok(peer)
}

/// Whether the fleet wants a peer at `now`: its certificate has not expired, its region is known, and its name is
/// neither revoked nor this node's own. Asked when a tunnel begins and for as long as it stands.
pub fn admit(fleet: &Fleet, own: &NodeName, peer: &PeerIdentity, now: SystemTime) -> Result<(), Refusal> {
    if fleet.revoked.contains(&peer.node) {
        Err(refusal::REVOKED)
    } else if fleet.region_by_name(&peer.region).is_none() {
        Err(refusal::UNKNOWN_REGION)
    } else if peer.node == *own {
        Err(refusal::SAME_NAME)
    } else if peer.not_after <= now {
        Err(refusal::EXPIRED)
    } else {
        Ok(())
    }
}

/// Waits for the end of a tunnel, and ends it when the peer is no longer admitted; why it ended, in the words of the peer,
/// of this node or of the network.
pub async fn until_closed(
    connection: &Connection,
    peer: &PeerIdentity,
    admit: impl Fn(&PeerIdentity) -> Result<(), Refusal>,
) -> String {
    loop {
        if let Ok(error) = timeout(STANDING_CHECK_INTERVAL, connection.closed()).await {
            return close_text(&error);
        }
        if let Err(refusal) = admit(peer) {
            refusal.close(connection);
            return refusal.text().to_owned();
        }
    }
}

/// Accepts tunnels until the endpoint is closed; `serve` runs one for as long as it lasts.
pub async fn accept<F: Future<Output = ()> + 'static>(
    endpoint: Endpoint,
    admit: impl Fn(&PeerIdentity) -> Result<(), Refusal> + 'static,
    serve: impl Fn(Connection, PeerIdentity) -> F + 'static,
) {
    let door = Rc::new(Door::default());
    let (admit, serve) = (Rc::new(admit), Rc::new(serve));
    while let Some(incoming) = endpoint.accept().await {
        let from = incoming.remote_address();
        let under_way = match door.knock(from.ip(), incoming.remote_address_validated()) {
            Knock::Enter(under_way) => under_way,
            Knock::Prove => {
                // Whoever has proven its address already is not asked again.
                let _ = incoming.retry();
                continue;
            }
            Knock::Refuse => {
                refused(&door, from, "too many handshakes and tunnels");
                incoming.refuse();
                continue;
            }
        };
        let (door, admit, serve) = (Rc::clone(&door), Rc::clone(&admit), Rc::clone(&serve));
        task::spawn_detached("accepted tunnel", async move {
            let met = handshake(incoming, &*admit).await;
            drop(under_way);
            match met {
                Ok((connection, peer)) => stand(&door, (connection, peer), &*admit, &*serve).await,
                Err(error) => refused(&door, from, error),
            }
        });
    }
}

/// Serves one tunnel for as long as it lasts.
async fn stand<F: Future<Output = ()>>(
    door: &Rc<Door>,
    (connection, peer): (Connection, PeerIdentity),
    admit: impl Fn(&PeerIdentity) -> Result<(), Refusal>,
    serve: impl Fn(Connection, PeerIdentity) -> F,
) {
    let from = connection.remote_address();
    let Some(_standing) = door.stand(&peer.node) else {
        refused(door, from, refusal::TOO_MANY.text());
        return refusal::TOO_MANY.close(&connection);
    };
    let serving = serve(connection.clone(), peer.clone());
    let (reason, ()) = tokio::join!(until_closed(&connection, &peer, admit), serving);
    tracing::debug!(node = %peer.node, %from, reason, "an accepted tunnel ended");
}

fn refused(door: &Door, from: SocketAddr, reason: impl fmt::Display) {
    if let Some(left_out) = door.is_worth_a_line(Instant::now()) {
        tracing::warn!(%from, %reason, left_out, "refused a peer");
    }
}

async fn handshake(
    incoming: Incoming,
    admit: impl Fn(&PeerIdentity) -> Result<(), Refusal>,
) -> Result<(Connection, PeerIdentity), PeeringError> {
    let connection = timeout(CONNECT_DEADLINE, incoming)
        .await
        .map_err(|_| PeeringError::Silent { waited: CONNECT_DEADLINE })?
        .map_err(|error| PeeringError::Refused(close_text(&error)))?;
    let peer = admitted(&connection, admit)?;
    Ok((connection, peer))
}

/// How long a handshake may take.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// What both ends of a handshake compute, on a busy machine.
const HANDSHAKE_TIME: Duration = Duration::from_millis(50);
/// Certificates name nodes by URI, so the name that TLS sends says nothing.
const SERVER_NAME: &str = "graticule";
/// Tells a peer that its certificate passed the handshake and cannot be read all the same; the text says why.
const UNREADABLE: VarInt = VarInt::from_u32(0x100);
/// How long a peer that is no longer wanted may keep a tunnel.
const STANDING_CHECK_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
