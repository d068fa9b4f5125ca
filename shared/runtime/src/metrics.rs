//! Metrics: the recorder of the process, its buckets, and the table of names. A service describes its own names
//! in a table of the same form.

use std::sync::{Mutex, PoisonError};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only goes up; its name ends in `_total`.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// A distribution; its name ends in its unit.
    Histogram,
}

/// A metric's name, kind and meaning.
pub type Metric = (&'static str, MetricKind, &'static str);

/// The metrics that every service has.
pub const METRICS: &[Metric] = &[
    ("tidelog_broker_connected", MetricKind::Gauge, "1 while the connection to the broker stands"),
    ("tidelog_broker_events_total", MetricKind::Counter, "Events of the broker connection, by event"),
    ("tidelog_broker_publishes_total", MetricKind::Counter, "Publishes to a stream, by stream and outcome"),
    (
        "tidelog_broker_publish_seconds",
        MetricKind::Histogram,
        "Time to a publish's acknowledgement, by stream",
    ),
    ("tidelog_broker_hints_dropped_total", MetricKind::Counter, "Hints that could not be sent"),
    ("tidelog_ready", MetricKind::Gauge, "1 while /readyz is green"),
    ("tidelog_schema_version", MetricKind::Gauge, "Version of the schema in use"),
    ("tidelog_schema_refusals_total", MetricKind::Counter, "Contents of the schema file that were not taken"),
];

/// Upper bounds of histograms in seconds.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Upper bounds of histograms in bytes.
const BYTES: &[f64] =
    &[256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];
/// Upper bounds of histograms that count things.
const COUNTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 10_000.0];

static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// The recorder could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Its settings are wrong.
    #[error("the metrics recorder cannot be built")]
    Build(#[from] BuildError),
    /// Somebody else has installed another one.
    #[error("this process has a metrics recorder already")]
    Taken,
}

/// Installs the recorder of this process and describes [`METRICS`]; called again, it returns the same recorder.
///
/// # Errors
/// Another recorder was installed by other code.
pub fn install() -> Result<PrometheusHandle, MetricsError> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = installed.as_ref() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets(COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), BYTES)?
        .build_recorder();
    let handle = recorder.handle();
    ::metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Taken)?;
    *installed = Some(handle.clone());
    describe(METRICS);
    Ok(handle)
}

/// Gives the metrics of a table their help texts. To be called after [`install`].
pub fn describe(table: &[Metric]) {
    for &(name, kind, help) in table {
        match kind {
            MetricKind::Counter => ::metrics::describe_counter!(name, help),
            MetricKind::Gauge => ::metrics::describe_gauge!(name, help),
            MetricKind::Histogram => ::metrics::describe_histogram!(name, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_tell_their_kind() {
        let names: BTreeSet<_> = METRICS.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), METRICS.len());
        for (name, kind, help) in METRICS {
            assert!(name.starts_with("tidelog_") && !help.is_empty(), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
        }
    }

    #[test]
    fn installing_twice_gives_the_same_recorder() {
        let (first, second) = (install().unwrap(), install().unwrap());
        ::metrics::gauge!("tidelog_schema_version").set(3.0);
        assert!(first.render().contains("tidelog_schema_version 3"));
        assert!(second.render().contains("tidelog_schema_version 3"));
    }

    #[test]
    fn buckets_go_by_the_unit_in_the_name() {
        let handle = install().unwrap();
        ::metrics::histogram!("tidelog_broker_publish_seconds", "stream" => "test").record(0.003);
        let text = handle.render();
        assert!(
            text.contains("tidelog_broker_publish_seconds_bucket{stream=\"test\",le=\"0.005\"} 1"),
            "{text}"
        );
    }
}
