//! How many request streams a peer may have open: few at first, and more as soon as it uses half of them.
//!
//! A connection keeps a place for each stream that may be opened, some 70 bytes, whether it ever is or not; with every
//! peer's workers connected to every worker that is most of a quiet node's memory.

use std::cell::Cell;
use std::rc::Rc;

use quinn::{Connection, VarInt};

use super::transport::{REQUEST_STREAMS_FIRST, REQUEST_STREAMS_MAX};

/// The request streams of one tunnel. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct StreamRoom(Rc<Counts>);

#[derive(Debug)]
struct Counts {
    open: Cell<u32>,
    granted: Cell<u32>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { open: Cell::new(0), granted: Cell::new(REQUEST_STREAMS_FIRST) }
    }
}

/// An open stream; it counts until this is dropped.
#[derive(Debug)]
pub struct Place(Rc<Counts>);

impl StreamRoom {
    /// A stream was opened on `connection`: counts it, and grants the peer more if it is going to need them.
    pub fn take(&self, connection: &Connection) -> Place {
        if let Some(granted) = self.0.take() {
            connection.set_max_concurrent_bi_streams(VarInt::from_u32(granted));
        }
        Place(Rc::clone(&self.0))
    }
}

impl Counts {
    /// Counts one stream more. Returns how many the peer may have open from now on, if those are more than before.
    fn take(&self) -> Option<u32> {
        self.open.set(self.open.get().saturating_add(1));
        let granted = self.granted.get();
        if self.open.get() < granted / 2 || granted >= REQUEST_STREAMS_MAX {
            return None;
        }
        self.granted.set(granted.saturating_mul(2).min(REQUEST_STREAMS_MAX));
        Some(self.granted.get())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens one stream after the other and keeps them; what was granted, with how many were open then.
    fn grants(streams: u32) -> Vec<(u32, u32)> {
        let counts = Counts::default();
        (1..=streams).filter_map(|open| counts.take().map(|granted| (open, granted))).collect()
    }

    #[test]
    fn room_doubles_when_half_of_it_is_used_up_to_the_limit() {
        assert_eq!(grants(255), []);
        let all = [(256, 1_024), (512, 2_048), (1_024, 4_096), (2_048, 8_192)];
        assert_eq!(grants(REQUEST_STREAMS_MAX), all);
    }

    #[test]
    fn streams_that_have_ended_need_no_room() {
        let room = StreamRoom::default();
        for _ in 0..10_000 {
            assert_eq!(room.0.take(), None);
            drop(Place(Rc::clone(&room.0)));
        }
    }
}
