//! What was meant: the nearest of some names to one that was mistyped.

/// The name that `written` is most likely a slip of, or the beginning of, if one is near enough to be worth saying.
pub fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<&'n str> {
    if written.len() > WRITTEN_BYTES_MAX {
        return None;
    }
    let lower = written.to_ascii_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&lower, &name.to_ascii_lowercase());
    let near = names.clone().map(|name| (distance(name), name)).min()?;
    if near.0 <= (written.chars().count() / 3).max(1) {
        return Some(near.1);
    }
    let mut longer = names.filter(|name| name.to_ascii_lowercase().starts_with(&lower));
    longer.next().filter(|_| longer.next().is_none() && written.len() >= BEGINNING_BYTES_MIN)
}

/// With fewer letters anything could have been meant.
const BEGINNING_BYTES_MIN: usize = 3;

/// Longer texts are no slips of names, and comparing takes time and memory that grows with length.
const WRITTEN_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["country", "latitude", "longitude"];

    fn suggestion(written: &str) -> Option<&'static str> {
        nearest(written, NAMES.into_iter())
    }

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        assert_eq!(suggestion("contry"), Some("country"));
        assert_eq!(suggestion("lattitude"), Some("latitude"));
        assert_eq!(suggestion("COUNTRY"), Some("country"));
        assert_eq!(suggestion("cuontry"), Some("country"));
    }

    #[test]
    fn what_only_one_name_begins_with_is_understood() {
        assert_eq!(suggestion("long"), Some("longitude"));
        assert_eq!(suggestion("lo"), None);
        assert_eq!(nearest("half", ["half-open", "half-closed"].into_iter()), None);
    }

    #[test]
    fn another_word_is_no_slip() {
        assert_eq!(suggestion("color"), None);
        assert_eq!(suggestion(""), None);
        assert_eq!(suggestion(&"country".repeat(100)), None);
    }

    #[test]
    fn of_two_as_near_the_first_by_name_is_meant() {
        assert_eq!(nearest("eu-3", ["eu-2", "eu-1"].into_iter()), Some("eu-1"));
    }
}
