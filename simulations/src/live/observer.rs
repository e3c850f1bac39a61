//! What do the nodes of a live fleet think of each other: asked again and again of their admin API.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use graticule::task::{self, Task};
use graticule::world::World;
use graticule_node_api::{Call, Tunnel, client};
use graticule_node_core::mesh::Condition;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::fleet::LiveFleet;
use crate::fleet::client::ask_over;
use crate::run::driver::Opinions;

/// Asks one node for as long as the task lives.
pub(super) fn spawn(fleet: &Rc<LiveFleet>, name: String) -> Task {
    let fleet = Rc::clone(fleet);
    task::spawn("observer", async move {
        let Ok(node) = fleet.node(&name) else { return };
        loop {
            if node.process.borrow().is_some() {
                if let Ok((status, _)) = send(node.place.admin, Method::GET, client::ready().path()).await {
                    node.is_unready.set(status == StatusCode::SERVICE_UNAVAILABLE.as_u16());
                }
                // One that stands still answers nothing, and thinks what it thought.
                if let Ok(tunnels) = ask(node.place.admin, &client::tunnels()).await {
                    let now: Opinions = tunnels.iter().filter_map(opinion).collect();
                    let mut known = node.opinions.borrow_mut();
                    if node.process.borrow().is_some() && known.as_deref() != Some(&now) {
                        *known = Some(Rc::new(now));
                    }
                }
            } else {
                node.opinions.take();
                node.is_unready.set(false);
            }
            sleep(LOOK_INTERVAL).await;
        }
    })
}

fn opinion(tunnel: &Tunnel) -> Option<(String, Condition)> {
    let condition = BTreeMap::from([
        ("usable", Condition::Usable),
        ("suspect", Condition::Suspect),
        ("draining", Condition::Draining),
        ("unreachable", Condition::Unreachable),
    ]);
    Some((tunnel.node.to_string(), *condition.get(&*tunnel.condition)?))
}

/// Makes one call of a node's admin API.
pub(super) async fn ask<T: DeserializeOwned>(admin: SocketAddr, call: &Call<T>) -> io::Result<T> {
    let (status, body) = send(admin, Method::GET, call.path()).await?;
    call.read(status, &body).map_err(io::Error::other)
}

/// Asks a node's admin API for anything. Errors: no whole answer in time.
pub(super) async fn send(admin: SocketAddr, method: Method, path: &str) -> io::Result<(u16, Bytes)> {
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    let request = request.body(Full::default()).map_err(io::Error::other)?;
    let asked = async { ask_over(World::system().net.connect(admin).await?, request).await };
    let answer = timeout(CALL_TIME_MAX, asked).await??;
    Ok((answer.status.as_u16(), answer.body))
}

const LOOK_INTERVAL: Duration = Duration::from_millis(200);
const CALL_TIME_MAX: Duration = Duration::from_secs(2);
