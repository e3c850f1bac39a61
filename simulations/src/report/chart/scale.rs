//! How high is a value drawn?

/// What a chart's height means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) enum Scale {
    /// From nothing to this.
    Linear {
        /// What the whole height stands for, above zero.
        top: f64,
    },
    /// Each factor of ten is equally high.
    Logarithmic {
        /// What the lower edge stands for, as a power of ten.
        low: i32,
        /// What the upper edge stands for, above the lower one.
        high: i32,
    },
}

impl Scale {
    /// The height of a chart in its own units.
    pub(in crate::report) const HEIGHT: f64 = 1000.0;

    /// A linear scale on which `largest` has room, and whose top and middle are round.
    pub(in crate::report) fn linear(largest: f64) -> Self {
        let largest = if largest.is_finite() { largest.max(1.0) } else { 1.0 };
        let unit = 10f64.powf(largest.log10().floor());
        let steps = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
        let top = steps.into_iter().map(|step| step * unit).find(|top| *top >= largest).unwrap_or(largest);
        Self::Linear { top: if top > 1.0 { top } else { 2.0 } }
    }

    /// A logarithmic scale on which values from `smallest` to `largest` have room.
    pub(in crate::report) fn logarithmic(smallest: f64, largest: f64) -> Self {
        let power = |value: f64| value.clamp(0.1, 1e7).log10();
        let low = power(smallest).floor() as i32;
        Self::Logarithmic { low, high: (power(largest).ceil() as i32).max(low + 1) }
    }

    /// How high a value is drawn, 0 to [`Scale::HEIGHT`].
    pub(in crate::report) fn height(self, value: f64) -> f64 {
        let share = match self {
            Self::Linear { top } => value / top,
            Self::Logarithmic { low, high } => {
                (value.max(1e-9).log10() - f64::from(low)) / f64::from(high - low)
            }
        };
        Self::HEIGHT * if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// What is labelled.
    pub(in crate::report) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { top } => vec![0.0, top / 2.0, top],
            Self::Logarithmic { low, high } => (low..=high).map(|power| 10f64.powi(power)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_has_room_and_ticks_are_round() {
        assert_eq!(Scale::linear(37.0), Scale::Linear { top: 40.0 });
        assert_eq!(Scale::linear(100.0), Scale::Linear { top: 100.0 });
        assert_eq!(Scale::linear(0.0).ticks(), [0.0, 1.0, 2.0]);
        assert_eq!(Scale::logarithmic(0.8, 430.0).ticks(), [0.1, 1.0, 10.0, 100.0, 1000.0]);
    }

    #[test]
    fn heights_grow_with_values_and_stay_within() {
        let linear = Scale::linear(40.0);
        assert!((linear.height(10.0) - 250.0).abs() < 1e-9);
        let logarithmic = Scale::logarithmic(1.0, 100.0);
        assert!((logarithmic.height(10.0) - 500.0).abs() < 1e-9);
        for value in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            for scale in [linear, logarithmic, Scale::linear(value), Scale::logarithmic(value, value)] {
                assert!((0.0..=Scale::HEIGHT).contains(&scale.height(value)), "{value} on {scale:?}");
            }
        }
    }
}
