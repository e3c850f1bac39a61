//! Frames of HTTP/2 as they stand on the wire (RFC 9113): for clients that break the rules.

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What comes before a frame's payload.
pub const FRAME_HEAD_BYTES: usize = 9;

/// A part of a body.
pub const DATA: u8 = 0;
/// The beginning of a head.
pub const HEADERS: u8 = 1;
/// A stream is given up.
pub const RST_STREAM: u8 = 3;
/// What one side takes.
pub const SETTINGS: u8 = 4;
/// Asks for an answer at once.
pub const PING: u8 = 6;
/// The last streams.
pub const GOAWAY: u8 = 7;
/// More of a head.
pub const CONTINUATION: u8 = 9;

/// A flag: nothing more follows on the stream.
pub const END_STREAM: u8 = 1;
/// A flag: the head is complete.
pub const END_HEADERS: u8 = 4;

/// One frame of a kind on a stream; 0 is the whole connection.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
