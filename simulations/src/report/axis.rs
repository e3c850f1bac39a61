//! Where on a chart is a time? Every chart over time has the same axis, so that cause stands above effect.

use crate::outcome::Outcome;

/// Time from the beginning of load to the end of the run, in columns of equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    end_ms: u64,
    column_ms: u64,
}

impl Axis {
    /// So many columns can still be told apart, and read as rows of a table.
    const COLUMNS_MAX: u64 = 120;
    /// So many labels fit below a narrow chart.
    const TICKS_MAX: u64 = 7;

    pub(super) fn of(outcome: &Outcome) -> Self {
        let bucket_ms = outcome.bucket_ms.clamp(1, YEAR_MS);
        let faults = outcome.faults.iter().map(|fault| fault.ended_ms.unwrap_or(fault.at_ms));
        let violations = outcome.violations.iter().map(|violation| violation.at_ms);
        let requests = outcome.requests.iter().map(|bucket| bucket.at_ms.saturating_add_unsigned(bucket_ms));
        let events = faults.chain(violations).chain(requests).filter_map(|at_ms| u64::try_from(at_ms).ok());
        let last_ms = events.fold(outcome.duration_ms, u64::max).clamp(1, YEAR_MS);
        let column_ms = bucket_ms * last_ms.div_ceil(bucket_ms).div_ceil(Self::COLUMNS_MAX);
        Self { end_ms: last_ms.div_ceil(column_ms) * column_ms, column_ms }
    }

    /// How long a column is.
    pub(super) fn column_ms(self) -> u64 {
        self.column_ms
    }

    pub(super) fn columns(self) -> usize {
        (self.end_ms / self.column_ms) as usize
    }

    /// The column of a time; none before load begins and after the end.
    pub(super) fn column(self, at_ms: i64) -> Option<usize> {
        let at_ms = u64::try_from(at_ms).ok().filter(|at_ms| *at_ms < self.end_ms)?;
        Some((at_ms / self.column_ms) as usize)
    }

    /// When a column begins.
    pub(super) fn begins_ms(self, column: usize) -> i64 {
        (column as u64 * self.column_ms).cast_signed()
    }

    /// The way to a time as a share of the whole, 0 to 1.
    pub(super) fn share(self, at_ms: i64) -> f64 {
        at_ms.clamp(0, self.end_ms.cast_signed()) as f64 / self.end_ms as f64
    }

    pub(super) fn end_ms(self) -> u64 {
        self.end_ms
    }

    /// Round times to be labelled, from 0.
    pub(super) fn ticks(self) -> impl Iterator<Item = u64> {
        let fits = |step: &u64| self.end_ms / step < Self::TICKS_MAX;
        let step = STEPS_MS.into_iter().find(fits).unwrap_or(YEAR_MS);
        (0..Self::TICKS_MAX).map(move |tick| tick * step).take_while(move |at| *at <= self.end_ms)
    }
}

/// A time as people read it: `12.5 s`.
pub(super) fn seconds(at_ms: i64) -> String {
    format!("{} s", decimals(at_ms as f64 / 1000.0))
}

/// A time in columns of a table, where all have as many decimals: `12.500 s`.
pub(super) fn moment(at_ms: i64) -> String {
    format!("{:.3} s", at_ms as f64 / 1000.0)
}

/// A round time below an axis: `10 s`, `5 min`, `2 h`.
pub(super) fn round_time(at_ms: u64, end_ms: u64) -> String {
    match end_ms {
        0..=180_000 => seconds(at_ms.cast_signed()),
        180_001..=10_800_000 => format!("{} min", decimals(at_ms as f64 / 60_000.0)),
        _ => format!("{} h", decimals(at_ms as f64 / 3_600_000.0)),
    }
}

/// A number with at most three decimals, and none that say nothing.
pub(super) fn decimals(number: f64) -> String {
    let text = format!("{number:.3}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

/// A count with its thousands apart.
pub(super) fn count(number: u64) -> String {
    thousands_apart(&number.to_string())
}

/// Digits with spaces between thousands, at which no line breaks.
pub(super) fn thousands_apart(digits: &str) -> String {
    let apart = |(position, digit): (usize, char)| {
        let space = position > 0 && (digits.len() - position).is_multiple_of(3);
        space.then_some('\u{202f}').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(apart).collect()
}

const YEAR_MS: u64 = 366 * 86_400_000;

const STEPS_MS: [u64; 24] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000,
    300_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 86_400_000,
];

#[cfg(test)]
mod tests {
    use super::super::testing::calm;
    use super::*;

    fn axis(duration_ms: u64, bucket_ms: u64) -> Axis {
        Axis::of(&Outcome { duration_ms, bucket_ms, requests: Vec::new(), ..calm() })
    }

    #[test]
    fn a_short_run_has_a_column_for_every_piece() {
        let axis = axis(60_000, 1_000);
        assert_eq!((axis.columns(), axis.column_ms(), axis.end_ms()), (60, 1_000, 60_000));
        assert_eq!(axis.column(-1), None);
        assert_eq!(axis.column(59_999), Some(59));
        assert_eq!(axis.column(60_000), None);
    }

    #[test]
    fn a_long_run_puts_several_pieces_into_a_column() {
        let axis = axis(86_400_000, 1_000);
        assert!(axis.columns() <= 120 && axis.end_ms() >= 86_400_000);
        assert_eq!(axis.column_ms() % 1_000, 0);
    }

    #[test]
    fn numbers_out_of_all_range_make_an_axis_still() {
        for (duration_ms, bucket_ms) in [(0, 0), (u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            let axis = axis(duration_ms, bucket_ms);
            assert!((1..=120).contains(&axis.columns()), "{axis:?}");
            assert!(axis.ticks().count() >= 1);
        }
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(
            axis(60_000, 1_000).ticks().collect::<Vec<_>>(),
            [0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000]
        );
        assert_eq!(axis(90_000, 1_000).ticks().last(), Some(90_000));
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(seconds(-1_500), "-1.5 s");
        assert_eq!(moment(12_500), "12.500 s");
        assert_eq!(round_time(120_000, 600_000), "2 min");
        assert_eq!(decimals(0.000_1), "0");
        assert_eq!(decimals(-0.000_1), "0");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(12), "12");
    }
}
