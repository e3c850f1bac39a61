//! When was it? As RFC 3339 in UTC, with milliseconds.

use super::json::digits;

/// Writes moments; remembers the second, because one is written many times.
#[derive(Debug, Clone, Default)]
pub struct Timestamps {
    second: u64,
    text: String,
}

impl Timestamps {
    /// Appends the moment, in quotes.
    pub fn write(&mut self, since_1970_us: u64, out: &mut String) {
        let second = since_1970_us / 1_000_000;
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text.clear();
            write_second(second, &mut self.text);
        }
        out.push_str(&self.text);
        digits(since_1970_us / 1_000 % 1_000, 3, out);
        out.push_str("Z\"");
    }
}

/// From the quote to the point.
fn write_second(second: u64, out: &mut String) {
    let (days, rest) = (second / DAY_S, second % DAY_S);
    let (year, month, day) = civil(days);
    out.push('"');
    for (value, width, after) in [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (rest / 3_600, 2, ':'),
        (rest / 60 % 60, 2, ':'),
        (rest % 60, 2, '.'),
    ] {
        digits(value, width, out);
        out.push(after);
    }
}

/// Year, month and day, of a number of days since 1970. Counts years from March, so that the leap day is the last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_FROM_MARCH_0000_TO_1970;
    let (era, day_of_era) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let leap_corrected = day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096;
    let year_of_era = leap_corrected / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March, months have 31, 30, 31, 30, 31 days, again and again.
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

const DAY_S: u64 = 86_400;
const DAYS_OF_400_YEARS: u64 = 146_097;
const DAYS_FROM_MARCH_0000_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(us: u64) -> String {
        let mut out = String::new();
        Timestamps::default().write(us, &mut out);
        out
    }

    #[test]
    fn known_moments_are_written_as_everybody_writes_them() {
        assert_eq!(written(0), "\"1970-01-01T00:00:00.000Z\"");
        // date -u -d @1709251199: the leap day of 2024.
        assert_eq!(written(1_709_251_199_999_999), "\"2024-02-29T23:59:59.999Z\"");
        assert_eq!(written(1_709_251_200_000_000), "\"2024-03-01T00:00:00.000Z\"");
        // 2100 is no leap year.
        assert_eq!(written(4_107_542_400_000_000), "\"2100-03-01T00:00:00.000Z\"");
    }

    proptest! {
        #[test]
        fn later_moments_have_greater_texts(first in 0u64..250_000_000_000, second in 0u64..250_000_000_000) {
            let (early, late) = (first.min(second), first.max(second));
            let mut timestamps = Timestamps::default();
            let [mut one, mut two] = [String::new(), String::new()];
            timestamps.write(early * 1_000_000, &mut one);
            timestamps.write(late * 1_000_000, &mut two);
            prop_assert_eq!(early == late, one == two);
            prop_assert!(one <= two);
        }
    }
}
