//! Which ports of this machine can a process have that ends and starts again?

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The first of `count` consecutive ports of loopback that are free for TCP and UDP, and that nobody was given before.
///
/// They lie below the range that the kernel hands out by itself, so that they stay free also while a process is down.
pub fn lasting(count: u16) -> io::Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static BEGIN: OnceLock<u32> = OnceLock::new();
    // Several programs on one machine begin at different places.
    let begin = *BEGIN.get_or_init(|| RandomState::new().build_hasher().finish() as u32 / 2);
    let count = u32::from(count);
    for _ in 0..ATTEMPTS_MAX {
        let at = begin + NEXT.fetch_add(count, Ordering::Relaxed);
        let first = LOWEST + (at % (HIGHEST - LOWEST - count));
        if (first..first + count).all(|port| is_free(port as u16)) {
            return Ok(first as u16);
        }
    }
    let message = format!("no {count} consecutive free ports between {LOWEST} and {HIGHEST}");
    Err(io::Error::new(io::ErrorKind::AddrInUse, message))
}

fn is_free(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port);
    TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}

const LOWEST: u32 = 10_000;
const HIGHEST: u32 = 32_000;
const ATTEMPTS_MAX: usize = 1_000;
