//! Pulls committed events as JSON.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::limits::MAX_SAFE_INTEGER;

/// Seconds that a pull waits for news.
const WAIT_SECONDS: u64 = 20;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(WAIT_SECONDS + 20);
const LIMIT: u64 = 500;

/// Where events come from.
pub(super) struct Source {
    client: Client,
    gateway: Url,
    token: String,
}

/// A pull's answer, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Pulled {
    pub(super) head: Position,
    pub(super) cursor: Position,
    pub(super) more: bool,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) events: Vec<CommittedEvent>,
}

/// What stands for the events that are gone, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Snapshot {
    pub(super) through: Position,
    pub(super) entities: Vec<IgnoredAny>,
}

/// An event of the log, as far as it is shown.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CommittedEvent {
    pub(super) position: Position,
    pub(super) device_id: String,
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) entity_id: String,
    pub(super) timestamp: String,
    pub(super) payload: Option<Box<RawValue>>,
}

impl Source {
    /// The gateway at `url`, where `token` may read every space.
    pub(super) fn new(url: &str, token: String) -> Result<Self> {
        let gateway = Url::parse(url).with_context(|| format!("{url} is not an address"))?;
        Ok(Self { client: Client::builder().timeout(REQUEST_TIMEOUT).build()?, gateway, token })
    }

    /// The last position of a space.
    pub(super) async fn head(&self, space: &SpaceId) -> Result<Position> {
        // Whoever asks from beyond the head is told where it is, and nothing else.
        Ok(self.get(space, Position(MAX_SAFE_INTEGER), 1, 0).await?.head)
    }

    /// The events behind `cursor`; if there are none, it waits for some or not.
    pub(super) async fn pull(&self, space: &SpaceId, cursor: Position, wait: bool) -> Result<Pulled> {
        self.get(space, cursor, LIMIT, if wait { WAIT_SECONDS } else { 0 }).await
    }

    async fn get(&self, space: &SpaceId, after: Position, limit: u64, wait_seconds: u64) -> Result<Pulled> {
        let mut url = self.gateway.clone();
        match url.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().extend(["v1", "spaces", space.as_str(), "log"]),
            Err(()) => bail!("{} is not an address of a gateway", self.gateway),
        };
        url.query_pairs_mut()
            .append_pair("after", &after.to_string())
            .append_pair("limit", &limit.to_string())
            .append_pair("wait", &wait_seconds.to_string());
        let request = self.client.get(url).bearer_auth(&self.token).header("Accept", "application/json");
        let answer = request.send().await.context("the gateway cannot be reached")?;
        let status = answer.status();
        let body = answer.bytes().await.context("the gateway's answer broke off")?;
        if !status.is_success() {
            bail!("the gateway refused: {} {}", status.as_u16(), String::from_utf8_lossy(&body));
        }
        serde_json::from_slice(&body).context("the gateway's answer is not understood")
    }
}
