//! What do nodes log: warnings go into the trace, and everything is searched for what must not be recorded.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::chronicle::{Chronicle, Finding};
use super::clients::MARK;

/// Listens to all that is logged on this thread until the guard is dropped.
pub(super) fn listen(chronicle: &Chronicle) -> DefaultGuard {
    let ear = Ear { chronicle: chronicle.clone() };
    tracing::subscriber::set_default(tracing_subscriber::registry().with(ear.with_filter(LevelFilter::INFO)))
}

struct Ear {
    chronicle: Chronicle,
}

/// The process that a span is of.
struct ProcessName(String);

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Ear {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut text = Text::default();
        attributes.record(&mut text);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(ProcessName(text.name));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let process = context.event_scope(event).into_iter().flatten().find_map(|span| {
            span.extensions().get::<ProcessName>().map(|name| name.0.clone()).filter(|name| !name.is_empty())
        });
        let process = process.unwrap_or_else(|| "-".to_owned());
        let heard = Heard { level: *event.metadata().level(), message: &text.message, fields: &text.fields };
        hear(&self.chronicle, &process, &heard);
    }
}

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
