//! A request that failed at one backend: is it sent to another, and which answer does it get in the end?

use std::rc::Rc;

use graticule_node_core::Reason;
use graticule_node_core::pool::Ask;
use graticule_node_core::pool::retry::{self, Attempt};
use http::Response;
use smallvec::SmallVec;

use super::exchange::Unsent;
use super::handle::Handle;
use super::spare::Spare;
use super::{Asked, Connections, PooledBody};

type Sent = Result<Response<PooledBody>, Reason>;

/// What the first backend made of a request.
pub(super) struct First<'a> {
    pub(super) handle: &'a Rc<Handle>,
    pub(super) member: usize,
    pub(super) result: Sent,
    pub(super) spare: Option<&'a Spare>,
}

/// What went wrong in a way that another backend might do better; `None` if nothing did.
pub(super) fn judge(result: &Sent, unsent: &Unsent) -> Option<Attempt> {
    match result {
        Ok(response) => {
            let status = response.status().as_u16();
            retry::is_failure(status).then_some(Attempt::Answered(status))
        }
        // The pool is at its limit, whatever the backend.
        Err(Reason::Overloaded) => None,
        Err(_) if unsent.is_some() => Some(Attempt::Unsent),
        Err(Reason::BackendFailed) => Some(Attempt::Broken),
        // No answer in time, or the client's fault: more of it helps nobody.
        Err(_) => None,
    }
}

impl Connections {
    /// Sends a request that has failed to other backends, as far as it may be and the budget lasts.
    pub(super) async fn retry(
        &self,
        asked: &Asked<'_>,
        first: First<'_>,
        chance: u32,
        unsent: &mut Unsent,
    ) -> Sent {
        let First { handle, member, mut result, spare } = first;
        let rule = &asked.pool.retry;
        let mut tried = Tried::new(member);
        let mut reached = unsent.is_none();
        for retries in 0.. {
            let Some(failed) = judge(&result, unsent) else { break };
            if !retry::may_retry(rule, retries, failed, spare.is_some_and(Spare::is_whole)) {
                break;
            }
            let chance = chance.rotate_left(retries + 1).wrapping_mul(MIXER);
            let Some(member) = tried.next(handle, failed, chance, self.world.clock.now()) else { break };
            if !asked.budget.take() {
                break;
            }
            tokio::time::sleep(retry::pause(rule, retries, chance.reverse_bits())).await;
            if unsent.is_none() {
                *unsent = spare.and_then(Spare::request);
            }
            let begun = self.world.clock.now();
            let next = self.attempt(handle, asked, (member, begun), unsent).await;
            reached |= unsent.is_none();
            // An answer, if only of an error, says more than that there is none.
            if next.is_ok() || result.is_err() {
                result = next;
            }
        }
        if result.is_ok() && judge(&result, unsent).is_none() {
            asked.budget.succeeded();
        }
        settle(result, reached, unsent)
    }
}

/// A request that reached a backend once is not handed back as one that reached none, nor the other way round.
fn settle(result: Sent, reached: bool, unsent: &mut Unsent) -> Sent {
    if reached {
        *unsent = None;
    }
    result.map_err(|reason| match reason {
        Reason::BackendUnreachable | Reason::Overloaded if reached => Reason::BackendFailed,
        Reason::BackendFailed if !reached => Reason::BackendUnreachable,
        reason => reason,
    })
}

/// The backends that a request has failed at.
struct Tried(SmallVec<[u16; 8]>);

impl Tried {
    fn new(member: usize) -> Self {
        Self(SmallVec::from_slice(&[member as u16]))
    }

    /// Another backend; without one, the same again if it only broke off: it may have closed a connection at rest.
    fn next(
        &mut self,
        handle: &Handle,
        failed: Attempt,
        chance: u32,
        now: graticule_node_core::Moment,
    ) -> Option<usize> {
        let ask = Ask { tried: &self.0, key: None, turn: 0, chance, now };
        let again = || self.0.last().filter(|_| failed == Attempt::Broken).map(|last| usize::from(*last));
        let next = handle.choose(&ask).or_else(again)?;
        self.0.push(next as u16);
        Some(next)
    }
}

/// Makes another chance of one.
const MIXER: u32 = 0x9e37_79b9;
