//! Does an HTTP/2 client send frames that cost others more than they cost it?
//!
//! Pings and settings want an answer, resets throw work away, empty frames carry nothing. Each is lawful, and a flood of
//! them is how HTTP/2 servers are worn down. A meter reads along with the bytes that a client sends and counts such frames
//! by the second. It checks nothing else: what is no HTTP/2 is the HTTP library's to refuse.

use std::fmt;

/// How many of each a client may send in one second over one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// PING, SETTINGS, PRIORITY, and frames of unknown types.
    pub control_frames_per_second_max: u32,
    /// `RST_STREAM`.
    pub resets_per_second_max: u32,
    /// DATA and CONTINUATION without content that do not end anything.
    pub empty_frames_per_second_max: u32,
}

/// Which limit a client is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// [`FrameLimits::control_frames_per_second_max`].
    ControlFrames,
    /// [`FrameLimits::resets_per_second_max`].
    Resets,
    /// [`FrameLimits::empty_frames_per_second_max`].
    EmptyFrames,
    /// One that the HTTP library keeps itself, such as `pending_resets_max`.
    Library,
}

impl Flood {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ControlFrames, Self::Resets, Self::EmptyFrames, Self::Library];

    /// What metrics call it: its key in `[ingress.http2]`, if it has one of its own.
    pub fn label(self) -> &'static str {
        match self {
            Self::ControlFrames => "control_frames_per_second_max",
            Self::Resets => "resets_per_second_max",
            Self::EmptyFrames => "empty_frames_per_second_max",
            Self::Library => "library",
        }
    }
}

impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {}", self.label())
    }
}

impl std::error::Error for Flood {}

/// Counts the frames of one connection, from its first byte.
#[derive(Debug, Clone)]
pub struct FrameMeter {
    limits: FrameLimits,
    second: u32,
    control_frames: u32,
    resets: u32,
    empty_frames: u32,
    /// What is known of the next frame's header.
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    /// Bytes until the next header begins.
    skipped: usize,
}

impl FrameMeter {
    /// A meter for a connection that begins with HTTP/2's preface.
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            second: 0,
            control_frames: 0,
            resets: 0,
            empty_frames: 0,
            header: [0; HEADER_BYTES],
            header_bytes: 0,
            skipped: PREFACE.len(),
        }
    }

    /// Reads along with what has come in `second`, a count that only rises.
    pub fn read(&mut self, mut bytes: &[u8], second: u32) -> Result<(), Flood> {
        if second != self.second {
            (self.second, self.control_frames, self.resets, self.empty_frames) = (second, 0, 0, 0);
        }
        while !bytes.is_empty() {
            if self.skipped > 0 {
                let skipped = self.skipped.min(bytes.len());
                self.skipped -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEADER_BYTES - self.header_bytes).min(bytes.len());
            self.header[self.header_bytes..self.header_bytes + taken].copy_from_slice(&bytes[..taken]);
            self.header_bytes += taken;
            bytes = &bytes[taken..];
            if self.header_bytes == HEADER_BYTES {
                self.header_bytes = 0;
                self.count()?;
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Flood> {
        let [high, middle, low, kind, flags, ..] = self.header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.skipped = length;
        let limits = self.limits;
        match kind {
            DATA | CONTINUATION if length == 0 && flags & end_of(kind) == 0 => {
                rise(&mut self.empty_frames, limits.empty_frames_per_second_max, Flood::EmptyFrames)
            }
            RST_STREAM => rise(&mut self.resets, limits.resets_per_second_max, Flood::Resets),
            // What answers a ping or settings of ours is no flood: we decide how many there are.
            PING | SETTINGS if flags & ACK != 0 => Ok(()),
            DATA | HEADERS | CONTINUATION | WINDOW_UPDATE => Ok(()),
            _ => rise(&mut self.control_frames, limits.control_frames_per_second_max, Flood::ControlFrames),
        }
    }
}

fn rise(count: &mut u32, max: u32, flood: Flood) -> Result<(), Flood> {
    *count += 1;
    if *count > max { Err(flood) } else { Ok(()) }
}

fn end_of(kind: u8) -> u8 {
    if kind == CONTINUATION { END_HEADERS } else { END_STREAM }
}

/// What every HTTP/2 connection begins with.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: FrameLimits = FrameLimits {
        control_frames_per_second_max: 3,
        resets_per_second_max: 2,
        empty_frames_per_second_max: 1,
    };
    const PRIORITY: u8 = 2;
    const UNKNOWN: u8 = 0x42;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    fn read(frames: &[Vec<u8>]) -> Result<(), Flood> {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frames.concat());
        FrameMeter::new(LIMITS).read(&bytes, 0)
    }

    fn times(count: usize, frame: Vec<u8>) -> Vec<Vec<u8>> {
        vec![frame; count]
    }

    #[test]
    fn each_limit_is_exact() {
        let floods = [
            (frame(PING, 0, &[0; 8]), 3, Flood::ControlFrames),
            (frame(SETTINGS, 0, &[]), 3, Flood::ControlFrames),
            (frame(PRIORITY, 0, &[0; 5]), 3, Flood::ControlFrames),
            (frame(UNKNOWN, 0, &[7; 300]), 3, Flood::ControlFrames),
            (frame(RST_STREAM, 0, &[0; 4]), 2, Flood::Resets),
            (frame(DATA, 0, &[]), 1, Flood::EmptyFrames),
            (frame(CONTINUATION, 0, &[]), 1, Flood::EmptyFrames),
        ];
        for (frame, max, flood) in floods {
            assert_eq!(read(&times(max, frame.clone())), Ok(()), "{flood:?}");
            assert_eq!(read(&times(max + 1, frame)), Err(flood), "{flood:?}");
        }
    }

    #[test]
    fn what_carries_something_or_answers_is_not_counted() {
        let harmless = [
            frame(DATA, 0, b"x"),
            frame(DATA, END_STREAM, &[]),
            frame(HEADERS, END_HEADERS, b"x"),
            frame(CONTINUATION, END_HEADERS, &[]),
            frame(WINDOW_UPDATE, 0, &[0, 0, 0, 1]),
            frame(PING, ACK, &[0; 8]),
            frame(SETTINGS, ACK, &[]),
        ];
        for frame in harmless {
            assert_eq!(read(&times(1_000, frame.clone())), Ok(()), "{frame:?}");
        }
    }

    #[test]
    fn every_second_begins_anew() {
        let mut meter = FrameMeter::new(LIMITS);
        meter.read(PREFACE, 0).unwrap();
        for second in 1..100 {
            meter.read(&times(3, frame(PING, 0, &[0; 8])).concat(), second).unwrap();
        }
        assert_eq!(meter.read(&frame(PING, 0, &[0; 8]), 99), Err(Flood::ControlFrames));
    }

    #[test]
    fn payloads_are_not_read_as_frames() {
        let ping = frame(PING, 0, &[0; 8]);
        assert_eq!(read(&times(100, frame(DATA, 0, &ping.repeat(50)))), Ok(()));
    }

    proptest! {
        #[test]
        fn the_count_is_the_same_however_the_bytes_are_cut(
            kinds in prop::collection::vec((0u8..12, any::<u8>(), 0usize..30), 0..12),
            cuts in prop::collection::vec(1usize..20, 1..40),
        ) {
            let frames: Vec<_> =
                kinds.iter().map(|(kind, flags, length)| frame(*kind, *flags, &vec![0; *length])).collect();
            let mut bytes = PREFACE.to_vec();
            bytes.extend(frames.concat());
            let mut meter = FrameMeter::new(LIMITS);
            let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
            let mut cut = Ok(());
            while cut.is_ok() && !rest.is_empty() {
                let (next, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                cut = meter.read(next, 0);
                rest = after;
            }
            prop_assert_eq!(cut, read(&frames));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            // Whether they are a flood is nobody's matter here.
            let _ = FrameMeter::new(LIMITS).read(&bytes, 7);
        }
    }
}
