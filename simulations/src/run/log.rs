//! What do nodes log: warnings go into the trace, and everything is searched for what must not be recorded.

use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Event, Level, Metadata, Subscriber};

use super::chronicle::{Chronicle, Finding};
use crate::scenario::MARK;

/// Listens to all that is logged on this thread until the guard is dropped.
pub(super) fn listen(chronicle: &Chronicle) -> DefaultGuard {
    tracing::subscriber::set_default(Ear { chronicle: chronicle.clone(), spans: Mutex::default() })
}

/// The only thing about spans that it knows is which process they are of. Every poll of every task enters one, so that
/// this must cost next to nothing.
struct Ear {
    chronicle: Chronicle,
    spans: Mutex<Spans>,
}

#[derive(Default)]
struct Spans {
    /// The names of processes; a span's id is its name's position, from 2. Spans without a name are all 1.
    processes: Vec<String>,
    /// The spans that this thread is in.
    entered: Vec<u64>,
}

impl Spans {
    fn id(&mut self, process: String) -> Id {
        if process.is_empty() {
            return Id::from_u64(NAMELESS);
        }
        let known = self.processes.iter().position(|known| *known == process);
        let at = known.unwrap_or_else(|| {
            self.processes.push(process);
            self.processes.len() - 1
        });
        Id::from_u64(NAMELESS + 1 + at as u64)
    }

    /// The process that the thread is in.
    fn process(&self) -> Option<&str> {
        let named = self.entered.iter().rev().find_map(|id| id.checked_sub(NAMELESS + 1))?;
        self.processes.get(usize::try_from(named).ok()?).map(String::as_str)
    }
}

impl Ear {
    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Ear {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut text = Text::default();
        attributes.record(&mut text);
        self.spans().id(text.name)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let process = self.spans().process().unwrap_or("-").to_owned();
        let heard = Heard { level: *event.metadata().level(), message: &text.message, fields: &text.fields };
        hear(&self.chronicle, &process, &heard);
    }

    fn enter(&self, span: &Id) {
        self.spans().entered.push(span.into_u64());
    }

    fn exit(&self, _span: &Id) {
        self.spans().entered.pop();
    }
}

const NAMELESS: u64 = 1;

/// Something that a node logged.
pub(crate) struct Heard<'t> {
    pub(crate) level: Level,
    pub(crate) message: &'t str,
    /// Its other fields, each after a space.
    pub(crate) fields: &'t str,
}

/// Notes what `node` logged, if it must be known or must not be.
pub(crate) fn hear(chronicle: &Chronicle, node: &str, heard: &Heard<'_>) {
    let Heard { level, message, fields } = heard;
    let says = |what: &str| message.contains(what) || fields.contains(what);
    let violation = |invariant, what| {
        chronicle.violation(Finding { invariant, node: Some(node.to_owned()), what });
    };
    if says("panicked") {
        violation("no-task-died", format!("{message}{fields}"));
    }
    if says(MARK) {
        violation("recorded-in-place", format!("a request is in the log: {message}{fields}"));
    }
    if *level <= Level::WARN {
        chronicle.note("log", node, format!("{level} {message}{fields}"));
    }
}

/// An event's message, and its other fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
    name: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "name" => write!(self.name, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            "name" => self.name.push_str(value),
            name => {
                let _ = write!(self.fields, " {name}={value}");
            }
        }
    }
}
