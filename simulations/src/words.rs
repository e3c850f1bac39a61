//! How are counts, lengths and commands written for people?

use std::borrow::Cow;
use std::time::Duration;

/// So many of something: `no faults`, `1 fault`, `2 faults`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

/// A length in milliseconds, to the microsecond.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.3} ms", milliseconds(time))
}

/// The same as a number.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// A moment in seconds, to the microsecond.
pub(crate) fn to_the_microsecond(at_us: i64) -> String {
    let sign = if at_us < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", at_us.unsigned_abs() / 1_000_000, at_us.unsigned_abs() % 1_000_000)
}

/// A text of several lines as one.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(['\n', '\r']) {
        return Cow::Borrowed(text);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Cow::Owned(lines.collect::<Vec<_>>().join("; "))
}

/// A word as a POSIX shell reads it.
pub(crate) fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn one_of_something_is_no_plural() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "fault")), ["no faults", "1 fault", "2 faults"]);
    }

    #[test]
    fn lengths_have_three_decimals_whatever_they_are() {
        assert_eq!(millis(Duration::from_millis(3_011)), "3011.000 ms");
        assert_eq!(millis(Duration::from_nanos(1_234_567)), "1.234 ms");
    }

    #[test]
    fn lines_are_joined_and_empty_ones_left_out() {
        assert_eq!(one_line("it is broken\r\n\n  help: mend it\n"), "it is broken; help: mend it");
        assert_eq!(one_line("all is well"), "all is well");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in ["region-lost", "a file.toml", "it's; rm -rf \"$HOME\" `x`\n*", "", "~/x", "Köln.toml"] {
            let script = format!("printf %s {}", quoted(word));
            let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
        assert_eq!(quoted("scenarios/a-1.toml"), "scenarios/a-1.toml");
    }
}
