//! What a node tells about itself and its requests: log lines on standard error, and the access log.

use std::sync::atomic::{AtomicU64, Ordering};

use graticule_node_core::config::{LogFormat, LogLevel, NodeConfig};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

mod access_log;
mod log_lines;
mod metrics;
mod otlp;

use log_lines::LogLines;

pub use access_log::{AccessLog, LogCounts};
pub use metrics::{Metrics, MetricsSources};
pub use otlp::{Export, Resource, export};

/// Why logging does not begin or change.
pub type LogError = Box<dyn std::error::Error + Send + Sync>;

/// Changes what is logged. Whoever drops it waits for the last lines.
pub struct LogControl {
    reload: Box<dyn Fn(EnvFilter) -> Result<(), LogError>>,
    lines: LogLines,
}

impl LogControl {
    /// Logs from now on what is as grave as `level`, or graver.
    pub fn set_level(&self, level: LogLevel) -> Result<(), LogError> {
        (self.reload)(filter(level)?)
    }
}

impl std::fmt::Debug for LogControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LogControl")
    }
}

impl Drop for LogControl {
    fn drop(&mut self) {
        self.lines.finish();
    }
}

/// How many log lines of this process nobody has read: there was no room for them, or they could not be written.
pub fn log_lines_lost() -> u64 {
    LOG_LINES_LOST.load(Ordering::Relaxed)
}

static LOG_LINES_LOST: AtomicU64 = AtomicU64::new(0);

/// Starts logging as the configuration says.
pub fn start(config: &NodeConfig) -> Result<LogControl, LogError> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(config.log_level)?);
    let lines = LogLines::start(std::io::stderr(), &LOG_LINES_LOST)?;
    let builder = builder.with_writer(lines.clone());
    let reload: Box<dyn Fn(_) -> _> = match config.log_format {
        LogFormat::Text => {
            let builder = builder.with_ansi(false).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.try_init()?;
            Box::new(move |filter| Ok(handle.reload(filter)?))
        }
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            builder.try_init()?;
            Box::new(move |filter| Ok(handle.reload(filter)?))
        }
    };
    Ok(LogControl { reload, lines })
}

fn filter(level: LogLevel) -> Result<EnvFilter, ParseError> {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Libraries do not know whose data may be recorded where: what they say below warnings can name paths and hosts. The
    // gossip library warns of each message that it cannot read, and the HTTP library of each client that floods it; those
    // are counted.
    let libraries = if level == "error" { level } else { "warn" };
    EnvFilter::try_new(format!("{libraries},chitchat=error,h2=error,graticule={level}"))
}
