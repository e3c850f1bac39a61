//! What time is it on a host: the runtime's paused time, seen through the host's own clocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use graticule::world::Clock;
use graticule_node_core::Moment;
use tokio::time::Instant;

/// One host's clocks.
#[derive(Debug)]
pub(crate) struct HostClock {
    origin: Instant,
    booted_before: Duration,
    pace: Mutex<Pace>,
    cpu_micros: AtomicU64,
}

/// How the host's own time follows the runtime's.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    /// Until here it is settled, in the runtime's time and in the host's.
    since: (Duration, Duration),
    /// From there on the host's runs so much too fast, in millionths.
    drift_ppm: i32,
}

impl Pace {
    fn at(&self, elapsed: Duration) -> Duration {
        let passed = elapsed.saturating_sub(self.since.0);
        self.since.1 + passed.mul_f64(1.0 + f64::from(self.drift_ppm) / 1e6)
    }
}

impl HostClock {
    /// Clocks of a host that had been up for `booted_before` when the simulation began at `origin`.
    pub(crate) fn new(origin: Instant, booted_before: Duration) -> Self {
        Self { origin, booted_before, pace: Mutex::default(), cpu_micros: AtomicU64::new(0) }
    }

    /// Lets the host's clocks run so much too fast from now on, in millionths; too slow if it is negative.
    pub(crate) fn drift(&self, drift_ppm: i32) {
        let elapsed = self.origin.elapsed();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        *pace = Pace { since: (elapsed, pace.at(elapsed)), drift_ppm };
    }

    /// The host's own time since the simulation began.
    fn elapsed(&self) -> Duration {
        let pace = *self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.drift_ppm == 0 && pace.since.0 == pace.since.1 {
            self.origin.elapsed()
        } else {
            pace.at(self.origin.elapsed())
        }
    }

    /// Lets the host's process have used more processor time.
    pub(crate) fn add_cpu_time(&self, used: Duration) {
        self.cpu_micros.fetch_add(u64::try_from(used.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for HostClock {
    fn now(&self) -> Moment {
        Moment::default() + self.booted_before + self.elapsed()
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + WALL_AT_START + self.elapsed()
    }

    fn cpu_time(&self) -> Duration {
        Duration::from_micros(self.cpu_micros.load(Ordering::Relaxed))
    }
}

/// The wall clock when a simulation begins, after the Unix epoch: 1 January 2027, 00:00 UTC.
const WALL_AT_START: Duration = Duration::from_hours(499_656);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_clocks_follow_virtual_time() {
        let clock = HostClock::new(Instant::now(), Duration::from_secs(1_000));
        let wall = clock.wall();
        tokio::time::sleep(Duration::from_hours(2)).await;
        assert_eq!(clock.now(), Moment::from_millis((1_000 + 7_200) * 1_000));
        assert_eq!(clock.wall().duration_since(wall).unwrap(), Duration::from_hours(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_ran_wrong_stays_where_it_came_to() {
        let clock = HostClock::new(Instant::now(), Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(10)).await;
        clock.drift(500_000);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(clock.now(), Moment::from_millis(25_000));
        clock.drift(0);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), Moment::from_millis(26_000));
    }

    #[tokio::test(start_paused = true)]
    async fn processor_time_is_what_it_is_told_to_be() {
        let clock = HostClock::new(Instant::now(), Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(clock.cpu_time(), Duration::ZERO);
        clock.add_cpu_time(Duration::from_millis(300));
        clock.add_cpu_time(Duration::from_millis(200));
        assert_eq!(clock.cpu_time(), Duration::from_millis(500));
    }
}
