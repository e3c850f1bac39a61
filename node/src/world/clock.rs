//! The machine's clocks: the one file that reads them.

use std::time::{Duration, SystemTime};

use graticule_node_core::Moment;
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::Clock;

/// `CLOCK_BOOTTIME`, the wall clock and the process's processor time.
#[derive(Debug)]
pub(super) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment::from_micros(
            u64::try_from(duration(clock_gettime(ClockId::Boottime)).as_micros()).unwrap_or(0),
        )
    }

    #[expect(clippy::disallowed_methods, reason = "the world's clock is read here")]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn cpu_time(&self) -> Duration {
        duration(clock_gettime(ClockId::ProcessCPUTime))
    }
}

fn duration(time: Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
