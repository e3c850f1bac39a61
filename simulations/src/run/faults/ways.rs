//! What is the state of the ways between nodes: what geography says, with everything that faults add at the moment.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::Link;
use crate::run::Stage;
use crate::scenario::Weather;

/// Every fault of links at the moment.
pub(super) struct Ways {
    stage: Rc<Stage>,
    faults: RefCell<BTreeMap<u64, Fault>>,
}

/// Nodes from whom packets go to whom.
type Pairs = BTreeSet<(String, String)>;

struct Fault {
    pairs: Pairs,
    weather: Weather,
    cut: bool,
}

impl Ways {
    pub(super) fn new(stage: &Rc<Stage>) -> Self {
        Self { stage: Rc::clone(stage), faults: RefCell::default() }
    }

    /// The fault of this number begins.
    pub(super) fn begin(&self, number: u64, pairs: &Pairs, weather: Weather, cut: bool) {
        self.faults.borrow_mut().insert(number, Fault { pairs: pairs.clone(), weather, cut });
        self.reshape(pairs);
    }

    /// It ends.
    pub(super) fn end(&self, number: u64) {
        let ended = self.faults.borrow_mut().remove(&number);
        if let Some(fault) = ended {
            self.reshape(&fault.pairs);
        }
    }

    fn reshape(&self, pairs: &Pairs) {
        for (from, to) in pairs {
            let driver = &self.stage.driver;
            if let Some(base) = driver.base_link(from, to) {
                // The scenario names only nodes that there are.
                let _ = driver.shape(from, to, self.with_faults(base, (from, to)));
            }
        }
    }

    fn with_faults(&self, base: Link, (from, to): (&str, &str)) -> Link {
        let pair = (from.to_owned(), to.to_owned());
        let faults = self.faults.borrow();
        faults.values().filter(|fault| fault.pairs.contains(&pair)).fold(base, |link, fault| {
            let Weather { latency, jitter, loss, duplicates, reordered, bytes_per_second } = fault.weather;
            let narrower = [link.bytes_per_second, bytes_per_second].into_iter().flatten().min();
            Link {
                latency: link.latency + latency,
                jitter: link.jitter + jitter,
                loss: 1.0 - (1.0 - link.loss) * (1.0 - loss),
                duplicates: link.duplicates.max(duplicates),
                reordered: link.reordered.max(reordered),
                bytes_per_second: narrower,
                cut: link.cut || fault.cut,
            }
        })
    }
}
