//! Log lines on standard error.

use graticule_node_core::config::{LogFormat, LogLevel, NodeConfig};
use tracing_subscriber::EnvFilter;

/// Starts logging as the configuration says.
pub fn start(config: &NodeConfig) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let level = match config.log_level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // The gossip library warns of each message that it cannot read; those are counted.
    let filter = EnvFilter::try_new(format!("{level},chitchat=error"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    }
}
