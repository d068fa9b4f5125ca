//! An answer, received and read within bounds. What is not a whole answer of a Tidelog gateway is no answer.

use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidelog_events::code::Refusal;
use tidelog_events::frame::{Decoder, FrameError};
use tidelog_events::id::Sequence;
use tidelog_events::protocol::UtcTime;
use tidelog_events::report::SyncFailureCause;
use tokio::time::timeout;

use super::LINES;
use crate::transport::{Refused, Unreachable};

/// Bytes of one answer, as they come over the network.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of one answer, decoded.
const MAX_DECODED_BYTES: usize = 256 * 1024 * 1024;

const TOO_LATE: &str = "no whole answer came in time";
const PROBLEM: &str = "application/problem+json";

/// A problem document, as far as a device acts on it (RFC 9457).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    code: String,
    #[serde(default)]
    detail: String,
    expected: Option<Sequence>,
    server_time: Option<UtcTime>,
    request_id: Option<String>,
}

impl Problem {
    /// The detail, and what the operators know the request by: whoever sees a device fail can ask them.
    fn told(&mut self) -> String {
        let detail = std::mem::take(&mut self.detail);
        match &self.request_id {
            Some(id) => format!("{detail} (request {id})"),
            None => detail,
        }
    }
}

/// An answer that has come to its end.
pub(super) struct WholeAnswer {
    pub(super) status: StatusCode,
    media_type: String,
    encoding: String,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl WholeAnswer {
    /// Receives the answer to its end, unless no byte comes for as long as it may be silent.
    pub(super) async fn receive(mut response: Response, silence_max: Duration) -> Result<Self, Unreachable> {
        let header = |name: HeaderName| {
            let text = response.headers().get(name).and_then(|value| value.to_str().ok());
            text.unwrap_or_default().trim().to_ascii_lowercase()
        };
        let mut answer = Self {
            status: response.status(),
            media_type: header(CONTENT_TYPE).split(';').next().unwrap_or_default().trim_end().to_owned(),
            encoding: header(CONTENT_ENCODING),
            retry_after: header(RETRY_AFTER).parse().ok().map(Duration::from_secs),
            body: Vec::new(),
        };
        while let Some(bytes) = unless_silent(silence_max, response.chunk()).await? {
            if answer.body.len() + bytes.len() > MAX_ANSWER_BYTES {
                return Err(Unreachable::broken(format!(
                    "the answer has more than {MAX_ANSWER_BYTES} bytes"
                )));
            }
            answer.body.extend_from_slice(&bytes);
        }
        Ok(answer)
    }

    /// The lines of a pull. A large answer takes a while to decode, so that happens beside the async threads.
    pub(super) async fn lines(self) -> Result<String, Unreachable> {
        if self.media_type != LINES {
            return Err(foreign());
        }
        let lines = match self.encoding.as_str() {
            "zstd" => {
                let decoded = tokio::task::spawn_blocking(move || decode(&self.body)).await;
                decoded.map_err(|_| Unreachable::broken("the answer was not decoded"))??
            }
            "" | "identity" => self.body,
            _ => return Err(foreign()),
        };
        String::from_utf8(lines).map_err(|_| damaged("it is not UTF-8"))
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Unreachable> {
        if self.media_type != "application/json" {
            return Err(foreign());
        }
        serde_json::from_slice(&self.body).map_err(damaged)
    }

    /// What is no problem document was said by somebody between: it has a status, and no code.
    pub(super) fn refused(self) -> Refused {
        let is_problem = self.media_type == PROBLEM;
        let problem: Option<Problem> = is_problem.then(|| serde_json::from_slice(&self.body).ok()).flatten();
        let status = self.status.as_u16();
        let retry_after = self.retry_after;
        match problem {
            Some(mut problem) => {
                let detail = problem.told();
                let Problem { code, expected, server_time, .. } = problem;
                let code = Refusal::from_text(&code);
                Refused { status, code, detail, expected, server_time, retry_after }
            }
            None => Refused {
                status,
                code: None,
                detail: format!("the answer is {}, and not from a Tidelog gateway", self.status),
                expected: None,
                server_time: None,
                retry_after,
            },
        }
    }
}

fn decode(frames: &[u8]) -> Result<Vec<u8>, Unreachable> {
    let decoded = Decoder::new().and_then(|mut decoder| decoder.decode_all(frames, MAX_DECODED_BYTES));
    decoded.map_err(|error| match error {
        FrameError::TooLarge { .. } => {
            Unreachable::broken(format!("the answer decodes to more than {MAX_DECODED_BYTES} bytes"))
        }
        other => damaged(other),
    })
}

pub(super) fn damaged(why: impl std::fmt::Display) -> Unreachable {
    Unreachable::broken(format!("the answer is damaged: {why}"))
}

pub(super) fn foreign() -> Unreachable {
    Unreachable::broken("the answer is not from a Tidelog gateway; does the network want a login?")
}

/// Waits for what comes next from the gateway, but not for longer than it may be silent.
pub(super) async fn unless_silent<T>(
    silence_max: Duration,
    next: impl Future<Output = Result<T, reqwest::Error>>,
) -> Result<T, Unreachable> {
    match timeout(silence_max, next).await {
        Ok(come) => come.map_err(|error| cut_short(&error)),
        Err(_) => Err(too_late()),
    }
}

fn too_late() -> Unreachable {
    Unreachable { cause: SyncFailureCause::Timeout, detail: TOO_LATE.to_owned() }
}

/// The sentence for a request that got no whole answer, with its causes. The URL, which names the space, is left out.
fn cut_short(error: &reqwest::Error) -> Unreachable {
    // A connection that takes too long is said to be none, below.
    if error.is_timeout() && !error.is_connect() {
        return too_late();
    }
    let (counted_as, what) = if error.is_builder() {
        (SyncFailureCause::Other, "the request cannot be written")
    } else if error.is_connect() {
        (SyncFailureCause::Offline, "no connection")
    } else {
        (SyncFailureCause::Broken, "the answer was cut short")
    };
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        causes.push(next.to_string());
        cause = next.source();
    }
    causes.dedup();
    let detail = if causes.is_empty() { what.to_owned() } else { format!("{what}: {}", causes.join(": ")) };
    Unreachable { cause: counted_as, detail }
}
