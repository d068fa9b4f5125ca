//! What a gateway learns of devices on the way: what they tell of themselves, and which of their pushes are refused. It goes
//! to ingest as hints, for those who look why a phone does not sync; nothing is decided by it.

use std::convert::Infallible;

use async_nats::HeaderMap as MessageHeaders;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use tidelog_events::id::{DeviceId, SpaceId, UserId};
use tidelog_events::protocol::{DeviceHint, RefusedPush, UtcTime};
use tidelog_events::report::{
    CLIENT_VERSION_HEADER, DeviceReport, MAX_REPORT_BYTES, MAX_REPORTED_SYNCS, REPORT_HEADER, SyncCounts,
    SyncFailureCause,
};
use tidelog_runtime::broker::Broker;
use tidelog_runtime::metrics::Metric;

use crate::auth::Caller;
use crate::problem::Problem;

/// Bytes of an app's version.
const VERSION_BYTES_MAX: usize = 64;
/// Characters of a refusal's detail that are kept.
const DETAIL_CHARS_MAX: usize = 300;

/// The metrics of what devices tell.
pub(crate) const METRICS: &[Metric] = &[
    Metric::counter("tidelog_gateway_ignored_reports_total", "Reports of devices that could not be read"),
    Metric::counter(
        "tidelog_gateway_device_syncs_total",
        "Attempts of devices to sync, by outcome, as they tell it themselves with a later sync",
    )
    .by(&[("outcome", &["succeeded", "failed"])]),
    Metric::counter("tidelog_gateway_device_sync_failures_total", "Those that failed, by cause")
        .by(&[("cause", SyncFailureCause::TEXTS)]),
];

/// What a request tells of the device that sent it, besides what it asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ToldByDevice {
    pub(crate) app_version: Option<String>,
    pub(crate) report: Option<DeviceReport>,
}

impl ToldByDevice {
    /// Reads the headers. What cannot be read is ignored: a phone whose report is malformed must sync all the same.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let version = headers.get(CLIENT_VERSION_HEADER).and_then(|version| version.to_str().ok());
        let version = version.filter(|version| (1..=VERSION_BYTES_MAX).contains(&version.len()));
        let report = headers.get(REPORT_HEADER).and_then(|report| {
            let fits = Some(report.as_bytes()).filter(|report| report.len() <= MAX_REPORT_BYTES);
            let read = fits.and_then(|report| serde_json::from_slice::<DeviceReport>(report).ok()?.checked());
            if read.is_none() {
                metrics::counter!("tidelog_gateway_ignored_reports_total").increment(1);
            }
            read
        });
        Self { app_version: version.map(str::to_owned), report }
    }
}

/// Counts what a report says of the device's syncs, which ends here: to be called once for each report that is answered.
pub(crate) fn count_syncs(report: &mut DeviceReport) {
    report.syncs.take().iter().for_each(count);
}

/// The same of syncs that were taken out of their report.
pub(crate) fn count(syncs: &SyncCounts) {
    let mut failed = 0;
    for (cause, count) in syncs.failures() {
        failed += count;
        metrics::counter!("tidelog_gateway_device_sync_failures_total", "cause" => cause.as_str())
            .increment(count);
    }
    let succeeded = syncs.succeeded.min(MAX_REPORTED_SYNCS);
    for (outcome, count) in [("succeeded", succeeded), ("failed", failed)] {
        metrics::counter!("tidelog_gateway_device_syncs_total", "outcome" => outcome).increment(count);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ToldByDevice {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// A hint that tells nothing yet of that device, which must be the caller's to be believed; a backend speaks for others.
pub(crate) fn hint_of(caller: &Caller, space: SpaceId, device_id: DeviceId) -> DeviceHint {
    let user_id: Option<UserId> = (!caller.is_trusted()).then(|| caller.user.clone());
    DeviceHint { space, device_id, user_id, cursor: None, app_version: None, report: None, refusal: None }
}

/// Tells ingest, in the background.
pub(crate) fn send(broker: Broker, hint: &DeviceHint) {
    match serde_json::to_vec(hint) {
        Ok(hint) => {
            tokio::spawn(async move {
                let subject = broker.subjects().devices();
                broker.publish_hint(subject, MessageHeaders::new(), hint.into()).await;
            });
        }
        Err(error) => tracing::error!(%error, "a device hint cannot be written"),
    }
}

/// The refusal of a push, as it is kept.
pub(crate) fn refused(problem: &Problem, at: UtcTime) -> RefusedPush {
    let detail = problem.detail().chars().map(|c| if c.is_control() { ' ' } else { c });
    RefusedPush { code: problem.code, detail: detail.take(DETAIL_CHARS_MAX).collect(), at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: &str, report: &str) -> ToldByDevice {
        let mut headers = HeaderMap::new();
        headers.insert(CLIENT_VERSION_HEADER, version.parse().unwrap());
        headers.insert(REPORT_HEADER, report.parse().unwrap());
        ToldByDevice::of(&headers)
    }

    #[test]
    fn what_can_be_read_is_told_and_the_rest_ignored() {
        let report = DeviceReport { pending: Some(3), ..DeviceReport::default() };
        let expect = ToldByDevice { app_version: Some("2.14.0".to_owned()), report: Some(report) };
        assert_eq!(told("2.14.0", r#"{"pending":3}"#), expect);
        for malformed in ["", "{", "7", r#"{"pending":-1}"#, r#"{"pending":3,"x":1}"#, &"7".repeat(5000)] {
            assert_eq!(told(&"9".repeat(65), malformed), ToldByDevice::default(), "{malformed}");
        }
        assert_eq!(ToldByDevice::of(&HeaderMap::new()), ToldByDevice::default());
    }
}
