//! Whether what a node has read again is in force, as metrics.

use graticule_node_core::metrics::{Exposition, Kind};

use crate::shared::{Reloadable, Reloads};

/// Writes the families.
pub(super) fn write(reloads: &Reloads, page: &mut Exposition) {
    let refused = reloads.refused();
    page.family(
        "graticule_reload_successful",
        Kind::Gauge,
        "Whether files are in force as they were read last: 1, or 0 if some are broken and what was before them stays.",
    );
    for what in Reloadable::ALL {
        page.sample(&[("what", what.label())], f64::from(u8::from(!refused.contains_key(&what))));
    }
}

#[cfg(test)]
mod tests {
    use graticule_node_core::Moment;

    use super::*;
    use crate::shared::Refusal;

    #[test]
    fn what_is_refused_is_zero_until_it_is_taken() {
        let reloads = Reloads::default();
        let text = || {
            let mut page = Exposition::default();
            write(&reloads, &mut page);
            page.text()
        };
        let sample = |value: u8| format!("graticule_reload_successful{{what=\"documents\"}} {value}\n");
        assert!(text().contains(&sample(1)), "{}", text());
        reloads.tell(Reloadable::Documents, Moment::from_millis(1), Some(Refusal::of(["broken"])));
        assert!(text().contains(&sample(0)), "{}", text());
        assert!(text().contains("{what=\"geo\"} 1\n"), "{}", text());
        reloads.tell(Reloadable::Documents, Moment::from_millis(2), None);
        assert!(text().contains(&sample(1)), "{}", text());
    }
}
