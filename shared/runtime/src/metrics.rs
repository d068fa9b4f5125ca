//! Metrics: the recorder of the process, its buckets, and the table of names. A service describes its own names
//! in a table of the same form.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{Interval, MissedTickBehavior, interval};

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

/// A label and all values that it can have; none where they are not known beforehand.
pub type Label = (&'static str, &'static [&'static str]);

/// A metric's name, kind, meaning and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What it says.
    pub help: &'static str,
    /// What it is told apart by.
    pub labels: &'static [Label],
    /// Whether it stands at 0 before anything happens; else it is not there before it is known.
    pub starts_at_zero: bool,
}

impl Metric {
    /// A counter without labels.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Counter, help, labels: &[], starts_at_zero: true }
    }

    /// A gauge without labels, of something that is measured.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Gauge, help, labels: &[], starts_at_zero: false }
    }

    /// A gauge without labels, of something that is counted up and down.
    pub const fn level(name: &'static str, help: &'static str) -> Self {
        Self { starts_at_zero: true, ..Self::gauge(name, help) }
    }

    /// A histogram without labels.
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Histogram, help, labels: &[], starts_at_zero: false }
    }

    /// With labels.
    #[must_use]
    pub const fn by(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    /// Each way to give the labels a value; none where the values of one are not known beforehand.
    pub fn series(&self) -> Vec<Vec<(&'static str, &'static str)>> {
        self.labels.iter().fold(vec![Vec::new()], |series, (label, values)| {
            let with =
                |value| series.iter().map(move |known| [known.as_slice(), &[(*label, value)]].concat());
            values.iter().copied().flat_map(with).collect()
        })
    }
}

/// The metrics that every service has.
pub const METRICS: &[Metric] = &[
    Metric::gauge("tidelog_ready", "1 while /readyz is green"),
    Metric::gauge("tidelog_build_info", "1: which service this is, and of which version")
        .by(&[("service", &["gateway", "ingest", "projector", "compactor"]), ("version", &[])]),
    Metric::gauge("tidelog_schema_version", "Version of the schema in use"),
    Metric::counter("tidelog_schema_refusals_total", "Contents of the schema file that were not taken"),
    Metric::gauge("tidelog_database_connections", "Connections of the pool to PostgreSQL, by state")
        .by(&[("state", &["idle", "used"])]),
    Metric::gauge("tidelog_database_connections_max", "Connections that the pool may have"),
    Metric::histogram(
        "tidelog_database_ping_seconds",
        "Time to get a connection from the pool and an answer to SELECT 1, looked at every 5 s",
    ),
    Metric::counter("tidelog_database_ping_failures_total", "Times that this gave no answer"),
    Metric::counter("tidelog_telemetry_dropped_spans_total", "Spans that no collector got, by reason")
        .by(&[("reason", &["full", "not-taken", "refused"])]),
];

/// What `metrics-process` tells of the process, in the same form.
pub const PROCESS_METRICS: &[Metric] = &[
    Metric::counter("process_cpu_seconds_total", "Whole seconds of processor time that the process has used"),
    Metric::gauge("process_resident_memory_bytes", "Memory that the process has in RAM"),
    Metric::gauge("process_virtual_memory_bytes", "Address space of the process"),
    Metric::gauge("process_virtual_memory_max_bytes", "Address space that it may have"),
    Metric::gauge("process_open_fds", "Files and sockets that the process has open"),
    Metric::gauge("process_max_fds", "Files and sockets that it may have open"),
    Metric::gauge("process_start_time_seconds", "Unix time at which the process began"),
    Metric::gauge("process_threads", "Threads of the process"),
];

/// How often services look at what is not counted as it happens.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);

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
    describe(PROCESS_METRICS);
    Ok(handle)
}

/// Gives the metrics of a table their help texts, and each counter its place with 0 for every value of its labels: what
/// has not happened yet can be told from what is not counted. To be called after [`install`].
pub fn describe(table: &[Metric]) {
    for metric in table {
        let &Metric { name, kind, help, .. } = metric;
        match kind {
            MetricKind::Counter => ::metrics::describe_counter!(name, help),
            MetricKind::Gauge => ::metrics::describe_gauge!(name, help),
            MetricKind::Histogram => ::metrics::describe_histogram!(name, help),
        }
        for labels in metric.series().into_iter().filter(|_| metric.starts_at_zero) {
            match kind {
                MetricKind::Counter => ::metrics::counter!(name, &labels).increment(0),
                MetricKind::Gauge => ::metrics::gauge!(name, &labels).increment(0.0),
                MetricKind::Histogram => {}
            }
        }
    }
}

/// Says which service this process is.
pub fn name_service(service: &'static str) {
    let version = env!("CARGO_PKG_VERSION");
    ::metrics::gauge!("tidelog_build_info", "service" => service, "version" => version).set(1.0);
}

/// Looks at the process, as far as the system tells: Linux does.
pub fn look_at_process() {
    #[cfg(target_os = "linux")]
    metrics_process::Collector::default().collect();
}

/// Ticks every few seconds, the first time at once, for whoever looks at what is not counted as it happens.
pub fn sampling() -> Interval {
    let mut ticks = interval(SAMPLE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_counted_is_there_with_0_for_every_value_of_its_labels_before_anything_happens() {
        const TABLE: &[Metric] = &[
            Metric::counter("tidelog_test_total", "A test").by(&[("a", &["x", "y"]), ("b", &["z"])]),
            Metric::counter("tidelog_test_open_total", "A test").by(&[("a", &["x"]), ("b", &[])]),
            Metric::counter("tidelog_test_plain_total", "A test"),
            Metric::level("tidelog_test_level", "A test"),
            Metric::gauge("tidelog_test_measured", "A test"),
        ];
        let handle = install().unwrap();
        describe(TABLE);
        let text = handle.render();
        for line in [
            "tidelog_test_total{a=\"x\",b=\"z\"} 0",
            "tidelog_test_total{a=\"y\",b=\"z\"} 0",
            "tidelog_test_plain_total 0",
            "tidelog_test_level 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(
            !text.contains("tidelog_test_open_total{") && !text.contains("tidelog_test_measured "),
            "what is not known beforehand is not made up: {text}"
        );
    }

    #[test]
    fn the_process_tells_what_its_table_says() {
        let handle = install().unwrap();
        look_at_process();
        let text = handle.render();
        let told = text.lines().filter(|line| line.starts_with("process_"));
        let told: BTreeSet<&str> = told.filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(told, PROCESS_METRICS.iter().map(|metric| metric.name).collect());
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
