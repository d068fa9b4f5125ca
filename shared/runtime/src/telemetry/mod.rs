//! Logs for people and for collectors, and traces: the way of a request from HTTP through the headers of messages to
//! every service, sent to a collector where the configuration names one.

mod config;
mod export;
mod headers;
mod trace;

use std::io::IsTerminal;
use std::time::{Duration, SystemTime};

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

pub use config::{LogFormat, OtlpEndpoint, OtlpHeaders, TelemetryConfig};
pub use export::ExportError;
pub use opentelemetry::trace::SpanKind;
pub use trace::{Trace, TraceId};

use crate::service::tell_open_files;

/// How long the end of a process waits for its last spans to be sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `telemetry.filter` is no filter.
    #[error("`telemetry.filter` is not a valid filter")]
    Filter(#[from] ParseError),
    /// It was set up before in this process; that stays in force.
    #[error("telemetry was set up already in this process")]
    AlreadyInstalled(#[from] TryInitError),
    /// Nothing can be sent to a collector.
    #[error("traces cannot be exported")]
    Export(#[from] ExportError),
}

/// Sends what is left of the traces when it is dropped, for at most three seconds. To be held to the end of `main`.
#[must_use = "the last spans are sent when it is dropped"]
#[derive(Debug)]
pub struct Telemetry {
    /// None where nothing is sent.
    provider: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider {
            // What cannot be sent by then is lost; whoever exports has counted and said so.
            let _ = provider.shutdown_with_timeout(FLUSH_TIMEOUT);
        }
    }
}

/// Sets up logs and traces of this process. The log goes to standard error.
///
/// # Errors
/// The filter cannot be parsed, no client for the collector can be made, or telemetry was set up before.
pub fn init(config: &TelemetryConfig, service: &'static str) -> Result<Telemetry, TelemetryError> {
    let filter = config.filter()?;
    let provider = export::provider(config, service)?;
    let lines = match config.format {
        LogFormat::Human => {
            fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).boxed()
        }
        // No span of ours lies in another: the current one says all.
        LogFormat::Json => {
            let json = fmt::layer().json().flatten_event(true).with_span_list(false);
            json.with_writer(std::io::stderr).boxed()
        }
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    tell_open_files();
    if let Some(provider) = &provider {
        trace::install(provider);
    }
    Ok(Telemetry { provider })
}

/// What time it is, for the beginnings and ends of spans: they say how long something took, and decide nothing.
pub fn now() -> SystemTime {
    opentelemetry::time::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn telemetry_is_set_up_once_and_the_second_time_is_an_error_not_a_panic() {
        let config = TelemetryConfig { filter: "off".to_owned(), ..TelemetryConfig::default() };
        let _first = init(&config, "test");
        assert!(matches!(init(&config, "test"), Err(TelemetryError::AlreadyInstalled(_))));
        let config = TelemetryConfig { filter: "a=b=c".to_owned(), ..config };
        assert!(matches!(init(&config, "test"), Err(TelemetryError::Filter(_))));
    }
}
