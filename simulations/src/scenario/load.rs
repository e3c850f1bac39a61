//! Who asks for what: a tenant's clients, where they are, where they come in, and how often.

use std::time::Duration;

use graticule_geo::Country;
use http::Method;
use rand::Rng;

/// Requests of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// What it is called.
    pub name: String,
    /// Whose requests.
    pub tenant: String,
    /// The nodes that clients come to, one after the other.
    pub edges: Vec<String>,
    /// Where the clients are; their addresses are in no country without.
    pub country: Option<Country>,
    /// Whether a client that cannot connect within a second goes to the next edge.
    pub tries_others: bool,
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// How long each request's body is, in bytes.
    pub body_bytes: u32,
    /// How often.
    pub arrivals: Arrivals,
    /// How long its clients wait for a connection and the whole answer, together.
    pub timeout: Duration,
    /// When it begins.
    pub from: Duration,
    /// When it ends.
    pub until: Duration,
}

/// When requests come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// At equal distances.
    Constant {
        /// Requests in a second.
        per_second: f64,
    },
    /// By chance, whatever came before.
    Poisson {
        /// Requests in a second, on average.
        per_second: f64,
    },
    /// By chance, and for a while more of them.
    Surge {
        /// Requests in a second before and after, on average.
        per_second: f64,
        /// Requests in a second at the height.
        peak_per_second: f64,
        /// When it begins to rise.
        at: Duration,
        /// How long it rises, and later falls.
        ramp: Duration,
        /// How long it stays at its height.
        hold: Duration,
    },
}

impl Load {
    /// When requests are sent, drawn from `chance`, in order. Every run of a seed sends at the same moments.
    pub fn moments<'l>(&'l self, chance: &'l mut dyn rand::RngCore) -> impl Iterator<Item = Duration> + 'l {
        let mut at = self.from;
        std::iter::from_fn(move || {
            loop {
                at += self.arrivals.pause(chance);
                if at >= self.until {
                    return None;
                }
                if self.arrivals.is_one(at, chance) {
                    return Some(at);
                }
            }
        })
    }

    /// How often chance is asked at most, about: at the highest rate all the time.
    pub fn draws_max(&self) -> f64 {
        self.arrivals.rate_max() * self.until.saturating_sub(self.from).as_secs_f64()
    }

    /// How many requests it has at most, about.
    pub fn requests_max(&self) -> f64 {
        let whole = self.until.saturating_sub(self.from).as_secs_f64();
        match self.arrivals {
            Arrivals::Constant { per_second } | Arrivals::Poisson { per_second } => per_second * whole,
            Arrivals::Surge { per_second, peak_per_second, ramp, hold, .. } => {
                let surge = (ramp * 2 + hold).as_secs_f64().min(whole);
                per_second * whole + peak_per_second * surge
            }
        }
    }
}

impl Arrivals {
    /// How long after one moment the next one comes at which there may be a request.
    fn pause(&self, chance: &mut dyn rand::RngCore) -> Duration {
        let unit: f64 = chance.random();
        let exponential = -(1.0 - unit).ln();
        let seconds = match self {
            Self::Constant { per_second } => 1.0 / per_second,
            _ => exponential / self.rate_max(),
        };
        Duration::from_secs_f64(seconds.clamp(PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX))
    }

    /// Whether there is one. A rate that changes is drawn at its highest, and thinned out: who waits at a low rate for
    /// the next request would sleep through what rises meanwhile.
    fn is_one(&self, at: Duration, chance: &mut dyn rand::RngCore) -> bool {
        match self {
            Self::Surge { .. } => chance.random::<f64>() * self.rate_max() < self.rate(at),
            _ => true,
        }
    }

    /// Requests in a second at the height.
    pub fn rate_max(&self) -> f64 {
        match *self {
            Self::Constant { per_second } | Self::Poisson { per_second } => per_second,
            Self::Surge { per_second, peak_per_second, .. } => per_second.max(peak_per_second),
        }
    }

    /// Requests in a second at a moment, on average.
    pub fn rate(&self, moment: Duration) -> f64 {
        match *self {
            Self::Constant { per_second } | Self::Poisson { per_second } => per_second,
            Self::Surge { per_second, peak_per_second, at, ramp, hold } => {
                let rising = share(moment.saturating_sub(at), ramp);
                let falling = share(moment.saturating_sub(at + ramp + hold), ramp);
                let height = if moment < at { 0.0 } else { rising - falling };
                per_second + (peak_per_second - per_second) * height
            }
        }
    }
}

fn share(passed: Duration, whole: Duration) -> f64 {
    if whole.is_zero() {
        f64::from(u8::from(!passed.is_zero()))
    } else {
        passed.div_duration_f64(whole).min(1.0)
    }
}

/// What every request has in its query, before its load and number: whoever writes down a path writes this down.
pub(crate) const MARK: &str = "rehearsal=";
const PAUSE_SECONDS_MIN: f64 = 1e-6;
const PAUSE_SECONDS_MAX: f64 = 1e6;
