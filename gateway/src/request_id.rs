//! What a request is called, so that a caller who has an answer and an operator who has a log speak of the same one.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue};
use serde::Serialize;
use tidelog_events::protocol::REQUEST_ID_HEADER;
use tidelog_runtime::telemetry::Trace;

/// Characters of an id that a caller chooses.
const CHARS_MAX: usize = 64;

/// The caller's own name for the request, or the id of its trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct RequestId(Box<str>);

impl RequestId {
    /// The one that the caller sends, if it is valid; otherwise the trace's.
    pub(crate) fn of_request(headers: &HeaderMap, trace: &Trace) -> Self {
        let sent = headers.get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok());
        sent.filter(|id| is_valid(id)).map_or_else(|| Self::of_trace(trace), |id| Self(id.into()))
    }

    /// The trace's.
    pub(crate) fn of_trace(trace: &Trace) -> Self {
        Self(trace.id().to_string().into())
    }

    /// The one of the request in hand.
    pub(crate) fn current() -> Option<Self> {
        Trace::current().carried().cloned()
    }

    /// As the value of a header.
    pub(crate) fn to_header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_valid(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=CHARS_MAX).contains(&id.len()) && id.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use tidelog_runtime::telemetry::SpanKind;

    use super::*;

    #[test]
    fn a_callers_id_is_taken_if_it_can_stand_in_a_log_line() {
        let trace = Trace::root("request", SpanKind::Server);
        let check = |sent: &str, expect: &str| {
            let headers = [(REQUEST_ID_HEADER.parse().unwrap(), sent.parse().unwrap())].into_iter().collect();
            assert_eq!(&*RequestId::of_request(&headers, &trace).0, expect, "{sent}");
        };
        let made = trace.id().to_string();
        check("order-7.retry_2", "order-7.retry_2");
        check(&"x".repeat(64), &"x".repeat(64));
        check(&"x".repeat(65), &made);
        for wrong in ["", "a b", "a\"b", "a/b", "ä"] {
            check(wrong, &made);
        }
        assert_eq!(&*RequestId::of_request(&HeaderMap::new(), &trace).0, made);
    }
}
