//! Follows the log of every space: segments come by the broker, once or more often or not at all; what is missing is
//! read from the gateway; each event is handed on once, in order of position, and again only after a crash.

use anyhow::{Context, Result, bail, ensure};
use async_nats::Message;
use async_nats::jetstream::Context as Jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use reqwest::{Client, Url};
use serde_json::Value;
use tidelog_events::frame::{
    Decoder, FIRST_HEADER, LAST_HEADER, PullItem, PullReader, SPACE_HEADER, SegmentHeader,
};
use tidelog_events::id::{DeviceId, Position, SpaceId, UserId};
use tidelog_events::limits::MAX_BODY_BYTES;
use tidelog_events::protocol::UtcTime;

use super::checkpoints::Checkpoints;

/// A segment decoded: its events, and what its header takes.
const MAX_SEGMENT_BYTES: usize = 2 * MAX_BODY_BYTES;

/// An event of the log.
#[derive(Debug)]
pub struct LoggedEvent {
    /// The space.
    pub space: SpaceId,
    /// Its position in the space's log. Space and position name the event for ever.
    pub position: Position,
    /// Who recorded it.
    pub author: UserId,
    /// On which device.
    pub device: DeviceId,
    /// When the server took it.
    pub received_at: UtcTime,
    /// The event as it was pushed.
    pub event: Value,
}

/// Where a space begins of which nothing is known yet.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "a program uses one of them")]
pub enum Start {
    /// With the first message about it: what came before is history.
    WithTheFirstMessage,
    /// At position 1, or at the snapshot that stands for the events that were pruned.
    AtTheBeginning,
}

/// A durable consumer of LOG, made if it is missing. One message is out at a time, so that a space's segments come in order.
pub async fn consumer(jetstream: &Jetstream, stream: &str, name: &str) -> Result<PullConsumer> {
    if let Ok(consumer) = jetstream.get_consumer_from_stream(name, stream).await {
        return Ok(consumer);
    }
    let config = pull::Config {
        durable_name: Some(name.to_owned()),
        ack_policy: AckPolicy::Explicit,
        deliver_policy: DeliverPolicy::New,
        max_ack_pending: 1,
        ..Default::default()
    };
    jetstream.create_consumer_on_stream(config, stream).await.context("no consumer of LOG")
}

/// Hands the events of all spaces on.
pub struct Follower {
    gateway: Url,
    token: String,
    client: Client,
    decoder: Decoder,
    checkpoints: Checkpoints,
    start: Start,
}

impl Follower {
    /// Reads what is missing at `gateway`, with a token that names every space (`{"*":"r"}` is enough).
    pub fn new(gateway: &str, token: &str, checkpoints: Checkpoints, start: Start) -> Result<Self> {
        let client = Client::builder().timeout(std::time::Duration::from_secs(30)).build()?;
        let (gateway, token) = (gateway.parse()?, token.to_owned());
        Ok(Self { gateway, token, client, decoder: Decoder::new()?, checkpoints, start })
    }

    /// Hands on what a message of LOG brings, and what is missing before it. After an error the message is not to be
    /// acknowledged: it comes again.
    pub async fn take(
        &mut self,
        message: &Message,
        mut deal_with: impl AsyncFnMut(LoggedEvent) -> Result<()>,
    ) -> Result<()> {
        let (space, first, last) = segment_of(message)?;
        let cursor = match (self.checkpoints.get(&space), self.start) {
            (Some(cursor), _) => cursor,
            (None, Start::WithTheFirstMessage) => Position(first.0 - 1),
            (None, Start::AtTheBeginning) => Position::ZERO,
        };
        if last <= cursor {
            // It came before. The position tells; the broker's own numbers do not.
            return Ok(());
        }
        if first > cursor.next() {
            return self.read_on(&space, cursor, last, &mut deal_with).await;
        }
        let lines = String::from_utf8(self.decoder.decode_all(&message.payload, MAX_SEGMENT_BYTES)?)?;
        let mut reader = PullReader::going_on(&lines, cursor);
        self.hand_on(&space, &mut reader, &mut deal_with).await
    }

    /// Reads the log behind `cursor` through `last`, as a device does, page by page.
    pub async fn read_on(
        &mut self,
        space: &SpaceId,
        mut cursor: Position,
        last: Position,
        deal_with: &mut impl AsyncFnMut(LoggedEvent) -> Result<()>,
    ) -> Result<()> {
        while cursor < last {
            let lines = self.pull(space, cursor).await?;
            let mut reader = PullReader::new(&lines, cursor);
            self.hand_on(space, &mut reader, deal_with).await?;
            ensure!(
                reader.cursor() > cursor,
                "the log of {space} ends before {last}: was the database restored?"
            );
            cursor = reader.cursor();
        }
        Ok(())
    }

    async fn hand_on(
        &mut self,
        space: &SpaceId,
        reader: &mut PullReader<'_>,
        deal_with: &mut impl AsyncFnMut(LoggedEvent) -> Result<()>,
    ) -> Result<()> {
        while let Some(item) = reader.next_item()? {
            let through = match item {
                // Whoever has nothing must begin again: the log has another epoch and fewer events.
                PullItem::Hello(_) => continue,
                // What was pruned is long past: nobody needs to hear of it.
                PullItem::Snapshot(header, _) => header.through,
                PullItem::Segment(header, events) => {
                    for (position, line) in events {
                        deal_with(logged(space, position, line, &header)?).await?;
                    }
                    header.last
                }
            };
            self.checkpoints.set(space, through)?;
        }
        Ok(())
    }

    async fn pull(&self, space: &SpaceId, after: Position) -> Result<String> {
        let mut url = self.gateway.clone();
        let Ok(mut path) = url.path_segments_mut() else {
            bail!("{} is no address of a gateway", self.gateway)
        };
        path.pop_if_empty().extend(["v1", "spaces", space.as_str(), "log"]);
        drop(path);
        url.query_pairs_mut().append_pair("after", &after.to_string());
        let request = self.client.get(url).bearer_auth(&self.token).header("Accept", "application/x-ndjson");
        let response = request.send().await.context("the gateway does not answer")?.error_for_status()?;
        Ok(response.text().await?)
    }
}

/// What the headers of a message say, without a look at its payload.
fn segment_of(message: &Message) -> Result<(SpaceId, Position, Position)> {
    let headers = message.headers.as_ref().context("a message of LOG has headers")?;
    let text = |name: &str| {
        headers.get(name).map(async_nats::HeaderValue::as_str).with_context(|| format!("{name} is missing"))
    };
    let space = SpaceId::new(text(SPACE_HEADER)?)?;
    let (first, last) = (Position(text(FIRST_HEADER)?.parse()?), Position(text(LAST_HEADER)?.parse()?));
    ensure!(Position::ZERO < first && first <= last, "a segment has positions");
    Ok((space, first, last))
}

/// The event with what the segment's header says of its position.
fn logged(space: &SpaceId, position: Position, line: &str, header: &SegmentHeader) -> Result<LoggedEvent> {
    let batch = header.batches.iter().rfind(|batch| batch.first <= position);
    let batch = batch.context("a segment lists the batches of its events")?;
    Ok(LoggedEvent {
        space: space.clone(),
        position,
        author: batch.user_id.clone(),
        device: batch.device_id.clone(),
        received_at: batch.received_at,
        event: serde_json::from_str(line)?,
    })
}
