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
        if text.message.contains("panicked") || text.fields.contains("panicked") {
            self.chronicle.violation(Finding {
                invariant: "no-task-died",
                node: Some(process.clone()),
                what: format!("{}{}", text.message, text.fields),
            });
        }
        if text.message.contains(MARK) || text.fields.contains(MARK) {
            let what = format!("a request is in the log: {}{}", text.message, text.fields);
            self.chronicle.violation(Finding {
                invariant: "recorded-in-place",
                node: Some(process.clone()),
                what,
            });
        }
        if *event.metadata().level() <= Level::WARN {
            let line = format!("{} {}{}", event.metadata().level(), text.message, text.fields);
            self.chronicle.note("log", &process, line);
        }
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
