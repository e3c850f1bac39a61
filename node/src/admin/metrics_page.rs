//! Which page does Prometheus get? One for all who ask at about the same time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use graticule_node_core::Moment;

/// The page for Prometheus; cheap to clone. However many ask how often, it is written once a second at most.
#[derive(Clone)]
pub struct MetricsPage {
    write: Arc<dyn Fn() -> String + Send + Sync>,
    /// Only callers of the admin API wait for each other here.
    last: Arc<Mutex<Option<(Moment, Bytes)>>>,
}

impl MetricsPage {
    /// The page that `write` writes.
    pub fn new(write: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { write: Arc::new(write), last: Arc::default() }
    }

    /// As it is now, or was less than [`PAGE_AGE_MAX`] before.
    pub(super) fn at(&self, now: Moment) -> Bytes {
        // A page is put there whole, whatever happened to who wanted another.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((written, page)) = &*last
            && now.since(*written) < PAGE_AGE_MAX
        {
            return page.clone();
        }
        let page = Bytes::from((self.write)());
        *last = Some((now, page.clone()));
        page
    }
}

impl fmt::Debug for MetricsPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MetricsPage")
    }
}

/// How old the page may be. Prometheus asks every 15 s.
const PAGE_AGE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn callers_share_a_page_until_it_is_a_second_old() {
        let written = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&written);
        let page = MetricsPage::new(move || count.fetch_add(1, Ordering::Relaxed).to_string());
        let at = |ms| page.clone().at(Moment::from_millis(ms));
        let first = at(5_000);
        assert_eq!(first, "0");
        for ms in [5_000, 5_500, 5_999] {
            assert_eq!(at(ms).as_ptr(), first.as_ptr(), "the same bytes after {ms} ms");
        }
        assert_eq!((at(6_000), at(6_001)), ("1".into(), "1".into()));
        assert_eq!(written.load(Ordering::Relaxed), 2);
    }
}
