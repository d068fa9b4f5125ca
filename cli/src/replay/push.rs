//! One push of a device, tried again until it is committed or refused.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use tidelog_events::admit::After;
use tidelog_events::code::Refusal;
use tidelog_events::frame::{BatchHeader, Encoder, write_batch};
use tidelog_events::id::{Sequence, UserId};
use tidelog_events::protocol::PushAnswer;
use tokio::time::{Instant, sleep};

use super::trace::DeviceTrace;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// A batch that the stack could not take for this long fails the replay.
const GIVE_UP_AFTER: Duration = Duration::from_mins(2);
/// Longer than the gateway waits for a commit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Where batches go.
#[derive(Debug, Clone)]
pub(super) struct Target {
    client: Client,
    gateway: Url,
    token: String,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Pushed {
    /// It is in the log.
    Committed(Box<PushAnswer>),
    /// It came too early: this sequence must come next.
    Gap(Sequence),
}

/// The parts of a problem document that say what to do.
#[derive(Debug, Deserialize)]
struct Problem {
    code: Option<Refusal>,
    detail: Option<String>,
    expected: Option<Sequence>,
}

enum Attempt {
    Done(Pushed),
    Again { reason: String, not_before: Duration },
}

impl Target {
    /// The gateway at `url`, where `token` may write to every space.
    pub(super) fn new(url: &str, token: String) -> Result<Self> {
        let gateway = Url::parse(url).with_context(|| format!("{url} is not an address"))?;
        let client = Client::builder().timeout(REQUEST_TIMEOUT).tcp_nodelay(true).build()?;
        Ok(Self { client, gateway, token })
    }

    /// Pushes these events. What may be different next time (no connection, 202, 429, 5xx) is tried again.
    pub(super) async fn push(&self, trace: &DeviceTrace, range: Range<usize>) -> Result<Pushed> {
        let frame = Encoder::new()?.encode(&body(trace, &range)?)?;
        let url = self.url(trace)?;
        let deadline = Instant::now() + GIVE_UP_AFTER;
        let mut backoff = FIRST_BACKOFF;
        loop {
            match self.attempt(&url, &frame).await? {
                Attempt::Done(pushed) => return Ok(pushed),
                Attempt::Again { reason, .. } if Instant::now() > deadline => {
                    bail!("gave up after {} s: {reason}", GIVE_UP_AFTER.as_secs())
                }
                Attempt::Again { not_before, .. } => {
                    sleep(not_before.max(backoff.mul_f32(0.5 + fastrand::f32()))).await;
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                }
            }
        }
    }

    async fn attempt(&self, url: &Url, frame: &[u8]) -> Result<Attempt> {
        let request = self
            .client
            .post(url.clone())
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(CONTENT_ENCODING, "zstd")
            .body(frame.to_vec());
        match request.send().await {
            Ok(answer) => judge(answer).await,
            Err(error) => Ok(again(&format!("the gateway cannot be reached ({error})"))),
        }
    }

    fn url(&self, trace: &DeviceTrace) -> Result<Url> {
        let mut url = self.gateway.clone();
        match url.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().extend(["v1", "spaces", trace.space.as_str(), "events"]),
            Err(()) => bail!("{} is not an address of a gateway", self.gateway),
        };
        Ok(url)
    }
}

/// The frame's content. In a trace a space belongs to one user, whose id it has.
fn body(trace: &DeviceTrace, range: &Range<usize>) -> Result<Vec<u8>> {
    let before = range.start.checked_sub(1).map(|index| After {
        device_sequence: trace.sequence(index),
        event_id: Some(trace.events[index].id),
    });
    let header = BatchHeader {
        device_id: Some(trace.device.clone()),
        user_id: Some(UserId::new(trace.space.as_str())?),
        after: before,
    };
    Ok(write_batch(&header, trace.events[range.clone()].iter().map(|event| event.line.get())))
}

async fn judge(answer: Response) -> Result<Attempt> {
    let status = answer.status();
    let not_before = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let not_before = Duration::from_secs(not_before.unwrap_or(0));
    let body = match answer.bytes().await {
        Ok(body) => body,
        Err(error) => return Ok(again(&format!("the answer broke off ({error})"))),
    };
    if status == StatusCode::OK {
        let answer: PushAnswer =
            serde_json::from_slice(&body).context("the gateway's answer is not a push answer")?;
        return Ok(Attempt::Done(Pushed::Committed(Box::new(answer))));
    }
    if status == StatusCode::ACCEPTED {
        return Ok(Attempt::Again { reason: "accepted, but not committed".to_owned(), not_before });
    }
    let problem =
        serde_json::from_slice(&body).unwrap_or(Problem { code: None, detail: None, expected: None });
    match (problem.code, problem.expected) {
        (Some(Refusal::SequenceGap), Some(expected)) => Ok(Attempt::Done(Pushed::Gap(expected))),
        _ if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
            Ok(Attempt::Again { reason: describe(status, &problem), not_before })
        }
        _ => bail!("refused: {}", describe(status, &problem)),
    }
}

fn again(reason: &str) -> Attempt {
    Attempt::Again { reason: reason.to_owned(), not_before: Duration::ZERO }
}

fn describe(status: StatusCode, problem: &Problem) -> String {
    let code = problem.code.map_or_else(String::new, |code| format!(" {code}"));
    let detail = problem.detail.as_deref().map_or_else(String::new, |detail| format!(": {detail}"));
    format!("{}{code}{detail}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use tidelog_events::id::{DeviceId, EventId, SpaceId};
    use uuid::Uuid;

    use super::super::trace::TracedEvent;
    use super::*;

    #[test]
    fn a_body_names_the_event_before_it_and_holds_the_events_bytes() {
        let event = |number| TracedEvent {
            id: EventId(Uuid::from_u128(number)),
            line: RawValue::from_string(format!("{{ \"n\":{number}.0 }}")).unwrap(),
        };
        let trace = DeviceTrace {
            space: SpaceId::new("user-1").unwrap(),
            device: DeviceId::new("phone").unwrap(),
            first: Sequence(1),
            events: vec![event(1), event(2), event(3)],
        };
        let text = |range| String::from_utf8(body(&trace, &range).unwrap()).unwrap();
        assert_eq!(text(0..1), "{\"batch\":{\"deviceId\":\"phone\",\"userId\":\"user-1\"}}\n{ \"n\":1.0 }\n");
        assert_eq!(
            text(1..3),
            "{\"batch\":{\"deviceId\":\"phone\",\"userId\":\"user-1\",\"after\":{\"deviceSequence\":1,\
             \"eventId\":\"00000000-0000-0000-0000-000000000001\"}}}\n{ \"n\":2.0 }\n{ \"n\":3.0 }\n"
        );
    }
}
