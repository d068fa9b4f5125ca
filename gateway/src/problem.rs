//! Errors as callers see them: RFC 9457 problem details with a stable code. The policy: a caller learns the code
//! and what to do; the cause of a failure of ours goes to the log, once, here.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, Sequence};
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::telemetry::Trace;
use utoipa::ToSchema;

use crate::request_id::RequestId;

/// Seconds after which a caller may try again when there was no room.
const RETRY_AFTER_SECONDS: u32 = 1;

/// A refused request.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The page that explains the code.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    page: Box<str>,
    /// The code as words.
    #[schema(value_type = String)]
    title: Box<str>,
    /// The HTTP status.
    status: u16,
    /// The stable code.
    pub code: Refusal,
    /// What was wrong with this request.
    detail: String,
    /// With `sequence-gap`: the sequence that must come next.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Sequence>,
    /// With `clock-ahead`: the server's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_time: Option<UtcTime>,
    /// The request that was refused, as the header `Tidelog-Request-Id` names it: for whoever asks the operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "0af7651916cd43dd8448eb211c80319c")]
    request_id: Option<RequestId>,
    /// The device whose batch was refused, for those who look why it does not sync; callers know it.
    #[serde(skip)]
    device: Option<Box<DeviceId>>,
    /// With `rate-limited` and `overloaded`: the header `Retry-After`.
    #[serde(skip)]
    retry_after_seconds: u32,
}

impl Problem {
    /// A problem of that code.
    pub fn new(code: Refusal, detail: impl Into<String>) -> Self {
        Self {
            page: format!("https://tidelog.dev/errors/{code}").into(),
            title: code.title().into(),
            status: code.status(),
            code,
            detail: detail.into(),
            expected: None,
            server_time: None,
            request_id: None,
            device: None,
            retry_after_seconds: RETRY_AFTER_SECONDS,
        }
    }

    /// Says how long to wait: whole seconds, one at least.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000);
        self.retry_after_seconds = u32::try_from(seconds).unwrap_or(u32::MAX).max(RETRY_AFTER_SECONDS);
        self
    }

    /// What was wrong, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The document, where it stands in another one, and is counted as a refusal.
    pub(crate) fn into_document(mut self) -> serde_json::Value {
        self.complete();
        // Text keys and plain values always are JSON.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Names the request in hand: what is answered to many at once was made outside of each.
    fn complete(&mut self) {
        self.request_id = RequestId::current().or(self.request_id.take());
        metrics::counter!("tidelog_gateway_refusals_total", "code" => self.code.as_str()).increment(1);
    }

    /// Names the sequence that must come next.
    #[must_use]
    pub fn expecting(mut self, sequence: Option<Sequence>) -> Self {
        self.expected = sequence;
        self
    }

    /// Names the request, where none is in hand.
    #[must_use]
    pub(crate) fn of_request(mut self, trace: &Trace) -> Self {
        self.request_id = trace.carried().cloned();
        self
    }

    /// Notes whose batch was refused.
    #[must_use]
    pub(crate) fn of_device(mut self, device: Option<&DeviceId>) -> Self {
        self.device = device.cloned().map(Box::new);
        self
    }

    /// Whose batch was refused, where that is known.
    pub(crate) fn device(&self) -> Option<&DeviceId> {
        self.device.as_deref()
    }

    /// Names the server's time.
    #[must_use]
    pub fn at(mut self, time: UtcTime) -> Self {
        self.server_time = Some(time);
        self
    }

    /// A failure of ours: the cause goes to the log, the caller learns that it was not their fault.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = cause, "a request failed");
        Self::new(Refusal::Internal, "the service failed; its log has the cause")
    }

    /// The database cannot be asked, or not just now.
    pub fn from_database(cause: &sqlx::Error) -> Self {
        use tidelog_runtime::database::{DatabaseFault, classify};
        match classify(cause) {
            DatabaseFault::Outage | DatabaseFault::Conflict => {
                if matches!(cause, sqlx::Error::PoolTimedOut) {
                    // Said once for all by readiness, where it is away, and by the pool's metrics, where it is not.
                    tracing::debug!("no connection to the database was free in time");
                } else {
                    tracing::warn!(error = cause as &dyn std::error::Error, "the database did not answer");
                }
                Self::new(Refusal::Overloaded, "the log cannot be read just now")
            }
            DatabaseFault::Poison | DatabaseFault::Defect => Self::internal(cause),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(cause: sqlx::Error) -> Self {
        Self::from_database(&cause)
    }
}

impl From<QueryRejection> for Problem {
    fn from(cause: QueryRejection) -> Self {
        Self::new(Refusal::RequestInvalid, cause.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        self.complete();
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (code, retry_after_seconds) = (self.code, self.retry_after_seconds);
        let mut response = (status, Json(self)).into_response();
        response.extensions_mut().insert(code);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(code, Refusal::RateLimited | Refusal::Overloaded) {
            headers.insert(RETRY_AFTER, retry_after_seconds.into());
        }
        if code == Refusal::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
