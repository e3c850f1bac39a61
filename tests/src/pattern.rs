//! Bodies of any length whose every part can be told from every other.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use sha2::{Digest, Sha256};

/// A body of a known length; counts what has been taken of it.
#[derive(Debug)]
pub struct Pattern {
    length: u64,
    taken: Arc<AtomicU64>,
}

impl Pattern {
    /// A body of `length` bytes.
    pub fn new(length: u64) -> Self {
        Self { length, taken: Arc::default() }
    }

    /// How many bytes have been taken so far; readable while the body is under way.
    pub fn taken(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.taken)
    }

    /// The next chunk.
    pub(crate) fn next_chunk(&mut self) -> Option<Bytes> {
        let at = self.taken.load(Ordering::Relaxed);
        let chunk = chunk(at, self.length)?;
        self.taken.store(at + chunk.len() as u64, Ordering::Relaxed);
        Some(chunk)
    }

    pub(crate) fn remaining(&self) -> u64 {
        self.length - self.taken.load(Ordering::Relaxed)
    }
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next_chunk().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining())
    }
}

/// A body that is announced and never sent.
#[derive(Debug)]
pub struct Withheld {
    /// The length that is announced.
    pub length: u64,
}

impl Body for Withheld {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

/// SHA-256 of a pattern of `length` bytes.
pub fn fingerprint_of_pattern(length: u64) -> [u8; 32] {
    let mut pattern = Pattern::new(length);
    let mut hash = Sha256::new();
    while let Some(chunk) = pattern.next_chunk() {
        hash.update(&chunk);
    }
    hash.finalize().into()
}

/// Each chunk begins elsewhere in a block of noise, so that none can be lost, doubled or moved unseen.
fn chunk(at: u64, length: u64) -> Option<Bytes> {
    let bytes = CHUNK_BYTES.min(length.checked_sub(at)?) as usize;
    let begin = (at / CHUNK_BYTES * STRIDE_BYTES % (BLOCK_BYTES - CHUNK_BYTES)) as usize;
    (bytes > 0).then(|| block().slice(begin..begin + bytes))
}

fn block() -> &'static Bytes {
    static BLOCK: OnceLock<Bytes> = OnceLock::new();
    BLOCK.get_or_init(|| {
        let noise = (0..BLOCK_BYTES / 32).flat_map(|at| Sha256::digest(at.to_le_bytes()));
        noise.collect::<Vec<u8>>().into()
    })
}

const CHUNK_BYTES: u64 = 64 * 1024;
const BLOCK_BYTES: u64 = 1024 * 1024;
/// Prime, so that the same place comes again only after all others.
const STRIDE_BYTES: u64 = 4_099;
