//! Who makes room for a new connection when too many are open?
//!
//! Whoever has waited longest without asking anything: else one host that only connects would keep probes out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;

/// The places for connections.
#[derive(Debug)]
pub(super) struct Places {
    connections_max: usize,
    per_address_max: usize,
    seats: RefCell<Seats>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Seats {
    /// By number; numbers only rise.
    taken: BTreeMap<u64, Seat>,
    next: u64,
}

#[derive(Debug)]
struct Seat {
    address: IpAddr,
    /// Its turn among those that wait for a whole head of a request; none while it is answered.
    waiting: Option<u64>,
    gone: Rc<Notify>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Rc<Places>,
    number: u64,
    gone: Rc<Notify>,
}

/// What became of a new connection.
#[derive(Debug)]
pub(super) enum Taken {
    /// There was room.
    Free(Place),
    /// Another one had to go for it.
    Instead(Place),
    /// Its address has as many as it may have, and asks something on all of them.
    Refused,
}

impl Places {
    pub(super) fn new(connections_max: usize, per_address_max: usize) -> Rc<Self> {
        Rc::new(Self { connections_max, per_address_max, seats: RefCell::default(), freed: Notify::new() })
    }

    /// A place for a connection from `address`; waits while all places are answered from.
    pub(super) async fn take(self: &Rc<Self>, address: IpAddr) -> Taken {
        loop {
            let freed = self.freed.notified();
            let (own, all) = self.seats.borrow().counts(address);
            let limit = if own >= self.per_address_max { Some(address) } else { None };
            if limit.is_none() && all < self.connections_max {
                return Taken::Free(self.seat(address));
            }
            if self.seats.borrow_mut().dismiss(limit) {
                return Taken::Instead(self.seat(address));
            }
            if limit.is_some() {
                return Taken::Refused;
            }
            freed.await;
        }
    }

    fn seat(self: &Rc<Self>, address: IpAddr) -> Place {
        let mut seats = self.seats.borrow_mut();
        let (number, gone) = (seats.turn(), Rc::new(Notify::new()));
        let seat = Seat { address, waiting: Some(number), gone: Rc::clone(&gone) };
        seats.taken.insert(number, seat);
        Place { places: Rc::clone(self), number, gone }
    }
}

impl Seats {
    fn turn(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// How many are from `address`, and how many there are.
    fn counts(&self, address: IpAddr) -> (usize, usize) {
        (self.taken.values().filter(|seat| seat.address == address).count(), self.taken.len())
    }

    /// Ends the connection that has waited longest, of those from `address` if there is one; whether any waited.
    fn dismiss(&mut self, address: Option<IpAddr>) -> bool {
        let waiting = self.taken.iter().filter(|(_, seat)| address.is_none_or(|from| from == seat.address));
        let longest = waiting.filter_map(|(number, seat)| Some((seat.waiting?, *number))).min();
        let seat = longest.and_then(|(_, number)| self.taken.remove(&number));
        seat.inspect(|seat| seat.gone.notify_one()).is_some()
    }

    fn set_waiting(&mut self, number: u64, waits: bool) {
        let turn = waits.then(|| self.turn());
        if let Some(seat) = self.taken.get_mut(&number) {
            seat.waiting = turn;
        }
    }
}

impl Place {
    /// Ends when the connection has to go.
    pub(super) async fn gone(&self) {
        self.gone.notified().await;
    }

    /// A whole head has come: the connection stays until what this gives is dropped.
    pub(super) fn answering(self: &Rc<Self>) -> Answering {
        self.places.seats.borrow_mut().set_waiting(self.number, false);
        Answering(Rc::clone(self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.seats.borrow_mut().taken.remove(&self.number);
        self.places.freed.notify_one();
    }
}

/// While a request is answered.
#[derive(Debug)]
pub(super) struct Answering(Rc<Place>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.places.seats.borrow_mut().set_waiting(self.0.number, true);
        // Somebody may wait for one who waits.
        self.0.places.freed.notify_one();
    }
}

/// The body of an answer, which is being answered for as long as there is any of it.
pub(super) struct Answer<B> {
    body: B,
    _answering: Answering,
}

impl<B> Answer<B> {
    pub(super) fn new(body: B, answering: Answering) -> Self {
        Self { body, _answering: answering }
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// The outcome if it is there at once.
    fn now<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn take(places: &Rc<Places>, address: IpAddr) -> Rc<Place> {
        match now(places.take(address)) {
            Some(Taken::Free(place) | Taken::Instead(place)) => Rc::new(place),
            other => panic!("{other:?}"),
        }
    }

    fn is_gone(place: &Place) -> bool {
        now(place.gone()).is_some()
    }

    #[test]
    fn whoever_has_waited_longest_makes_room_and_who_is_answered_does_not() {
        let places = Places::new(3, 3);
        let (first, second, third) = (take(&places, HOST), take(&places, HOST), take(&places, OTHER));
        let answering = first.answering();
        let _fourth = take(&places, OTHER);
        assert!(is_gone(&second) && !is_gone(&first) && !is_gone(&third));
        drop(answering);
        let _fifth = take(&places, OTHER);
        assert!(is_gone(&third) && !is_gone(&first), "it has waited only since its answer");
    }

    #[test]
    fn an_address_with_too_many_takes_from_itself_alone() {
        let places = Places::new(10, 2);
        let other = take(&places, OTHER);
        let (first, second) = (take(&places, HOST), take(&places, HOST));
        let third = take(&places, HOST);
        assert!(is_gone(&first) && !is_gone(&other));
        let _answered = (second.answering(), third.answering());
        assert!(matches!(now(places.take(HOST)), Some(Taken::Refused)));
        assert!(matches!(now(places.take(OTHER)), Some(Taken::Free(_))));
    }

    #[test]
    fn while_all_are_answered_a_new_one_waits_for_the_first_that_ends() {
        let places = Places::new(1, 1);
        let place = take(&places, HOST);
        let answering = place.answering();
        let mut waiting = pin!(places.take(OTHER));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        drop((answering, place));
        assert!(waiting.as_mut().poll(&mut cx).is_ready());
    }
}
