//! Black-box tests: real binaries, real clients.
//!
//! A test describes a [`Plan`], starts it as a [`Fleet`] of processes, sends requests as a client does, and looks at
//! what arrived at the [`Backend`]s, which run in the test. [`story`] runs it, one at a time and within a limit.

mod backend;
mod binary;
mod certificates;
mod client;
mod clock;
mod courteous;
mod fleet;
pub mod frames;
mod load;
mod lone;
mod moody;
mod node;
mod pattern;
mod plan;
mod ports;
mod recorder;
mod source;
mod story;
mod upgrading;

pub use backend::{Backend, BodySeen, Received};
pub use binary::{Ran, graticule, graticule_sim, run};
pub use certificates::{Authority, Certificate, self_signed, tls_server};
pub use client::{Answer, Ask, Broken, Connection, Multiplexed, Tls, Unanswered, ask};
pub use clock::{now, wall};
pub use courteous::Courteous;
pub use fleet::{Fleet, Guest};
pub use load::{Load, Outcome, Step};
pub use lone::{Lone, raw_backend, read_head};
pub use moody::{Mood, Moody, Speaks};
pub use node::{Node, resident_bytes};
pub use pattern::{Pattern, Withheld, fingerprint_of_pattern};
pub use plan::{AP_SOUTHEAST, ATLANTIS, EU_CENTRAL, EU_WEST, Plan, Region, UK, US_EAST};
pub use ports::consecutive as consecutive_ports;
pub use recorder::{Record, Recorded, Recorder};
pub use source::{Source, sources, workspace};
pub use story::{eventually, story};
pub use upgrading::{UpgradedStream, Upgrading};
