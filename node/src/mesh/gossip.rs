//! Gossip messages on their way out: one uni stream each, dropped where a peer is slow.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use graticule_gossip::Outbound;
use graticule_node_core::framing::StreamKind;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Link, Mesh};
use crate::task;

/// Carries what gossip sends until gossip ends.
pub async fn carry(mesh: Rc<Mesh>, mut outbound: mpsc::Receiver<Outbound>) {
    while let Some(Outbound { to, message }) = outbound.recv().await {
        let Some(link) = mesh.links().to_address(to) else { continue };
        let Ok(slot) = Arc::clone(&link.gossip_slots).try_acquire_owned() else { continue };
        task::spawn_detached("gossip message", async move {
            if timeout(SEND_TIMEOUT, send(&link, message)).await.is_err() {
                tracing::debug!(node = %link.peer.node, "a gossip message took too long; dropped");
            }
            drop(slot);
        });
    }
}

async fn send(link: &Link, message: Bytes) {
    // A connection that ends is noticed where it is kept; gossip repeats itself.
    let Ok(mut stream) = link.connection.open_uni().await else { return };
    let preface = Bytes::copy_from_slice(&StreamKind::Gossip.preface());
    if stream.write_all_chunks(&mut [preface, message]).await.is_ok() {
        let _ = stream.finish();
    }
}

/// A message that waits longer is older than the next one.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
