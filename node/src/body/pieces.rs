//! Room to read into: how much one connection holds for what may come.

use bytes::{Bytes, BytesMut};

/// A buffer that is small while little comes, and larger while much does.
#[derive(Debug)]
pub struct Pieces {
    buffer: BytesMut,
    room: usize,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), room: ROOM_BYTES_MIN }
    }
}

impl Pieces {
    /// Where the next piece is to be read into.
    pub fn room(&mut self) -> &mut BytesMut {
        self.buffer.reserve(self.room);
        &mut self.buffer
    }

    /// What has been read.
    pub fn take(&mut self) -> Bytes {
        self.room = if self.buffer.len() < ROOM_BYTES_MIN { ROOM_BYTES_MIN } else { ROOM_BYTES_MAX };
        self.buffer.split().freeze()
    }
}

/// Room of a quiet connection, and of a busy one.
const ROOM_BYTES_MIN: usize = 2 * 1024;
const ROOM_BYTES_MAX: usize = 16 * 1024;
