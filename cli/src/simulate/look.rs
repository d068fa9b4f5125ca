//! Looks at a space of the stack from outside: its log and quarantine over HTTP, its read model in PostgreSQL and
//! over HTTP, which must show the same.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};
use tidelog_client::transport::{Answer, OwnEventsRequest, PullRequest, Request, Transport};
use tidelog_events::fold::{Entity, StateHash};
use tidelog_events::frame::{Decoder, PullItem, PullReader, SegmentHeader};
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::json::canonical;
use tidelog_events::limits::{MAX_BODY_BYTES, MAX_PULL_EVENTS, MAX_READ_ENTITIES};
use tidelog_simulation::{LogEvent, QuarantinedAt, ReadModel};
use tidelog_store::segments::Segment;
use tidelog_store::{entities, projections};

use super::stack::Stack;

/// A page of visible entities, as far as it is compared.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntityPage {
    as_of: Position,
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    entity_id: String,
    fields: Map<String, Value>,
}

/// Fields as canonical JSON, by type and id.
type Views = BTreeMap<(String, String), String>;

impl Stack {
    /// Every event of a space.
    pub(super) async fn whole_log(&self, space: &SpaceId) -> Result<Vec<LogEvent>> {
        let mut events = Vec::new();
        let mut cursor = Position::ZERO;
        loop {
            let lines = self.patiently("a pull", async || self.pulled(space, cursor).await).await?;
            let mut reader = PullReader::new(&lines, cursor);
            let mut head = Position::ZERO;
            while let Some(item) = reader.next_item()? {
                match item {
                    PullItem::Hello(hello) => head = hello.head,
                    PullItem::Snapshot(header, _) => {
                        let what = "what was pruned";
                        let pruned = async || self.pruned(space, cursor, header.through).await;
                        events.extend(self.patiently(what, pruned).await?);
                    }
                    PullItem::Segment(header, found) => {
                        for (position, line) in found {
                            events.push(log_event(&header, position, line)?);
                        }
                    }
                }
            }
            cursor = reader.cursor();
            if cursor >= head {
                return Ok(events);
            }
        }
    }

    /// The events behind `after` and through `through`, which pulls do not have any more.
    async fn pruned(&self, space: &SpaceId, after: Position, through: Position) -> Result<Vec<LogEvent>> {
        let mut events = Vec::new();
        let mut decoder = Decoder::new()?;
        let mut history = self.history.behind(space, after);
        while history.cursor() < through {
            let chunk = history.next_chunk().await?.context("the archive has not all that was pruned")?;
            for Segment { header, frame } in chunk.segments {
                let content = String::from_utf8(decoder.decode_all(&frame, MAX_BODY_BYTES)?)?;
                let lines = content.split_terminator('\n').skip(usize::from(header.has_batch_line()));
                for (position, line) in (header.first.0..).map(Position).zip(lines) {
                    if (after.next()..=through).contains(&position) {
                        events.push(log_event(&header, position, line)?);
                    }
                }
            }
        }
        Ok(events)
    }

    async fn pulled(&self, space: &SpaceId, after: Position) -> Result<String> {
        let device = DeviceId::new("simulation")?;
        let pull = PullRequest {
            space: space.clone(),
            after,
            limit: MAX_PULL_EVENTS,
            device,
            types: None,
            report: None,
        };
        match self.transport.send(&Request::Pull(pull), &self.reader_token).await? {
            Answer::Pulled(lines) => Ok(lines),
            other => bail!("the gateway answered a pull with {other:?}"),
        }
    }

    /// What lies in quarantine of a device's sequences 1 to `through`.
    pub(super) async fn quarantined_events(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        through: Sequence,
    ) -> Result<Vec<QuarantinedAt>> {
        let mut found = Vec::new();
        for from in (1..=through.0).step_by(MAX_PULL_EVENTS as usize) {
            let request = OwnEventsRequest {
                space: space.clone(),
                device: device.clone(),
                from: Sequence(from),
                to: through.min(Sequence(from + MAX_PULL_EVENTS - 1)),
            };
            let request = Request::OwnEvents(request);
            let events = self.patiently("a device's events", async || {
                match self.transport.send(&request, &self.reader_token).await? {
                    Answer::OwnEvents(events) => Ok(events),
                    other => bail!("the gateway answered for a device's events with {other:?}"),
                }
            });
            found.extend(events.await?.into_iter().filter_map(|event| {
                let (device, sequence) = (device.clone(), event.device_sequence);
                Some(QuarantinedAt { device, sequence, event_id: event.event_id, code: event.quarantined? })
            }));
        }
        Ok(found)
    }

    /// The read model once it is folded through `head`, checked against what the gateway shows.
    pub(super) async fn whole_read_model(&self, space: &SpaceId, head: Position) -> Result<ReadModel> {
        let what = format!("{space} folded through {head}");
        let (applied, model) = self.patiently(&what, async || self.stored_model(space, head).await).await?;
        ensure!(applied == head, "the log of {space} has {head} events, and {applied} are folded");
        let mut shown = Views::new();
        for entity_type in self.schema.entities().keys() {
            shown.extend(self.shown(space, entity_type.as_str(), head).await?);
        }
        let stored = self.views(&model.lines)?;
        ensure!(
            shown == stored,
            "the entities of {space}: the gateway shows {shown:?}, the lines say {stored:?}"
        );
        Ok(model)
    }

    async fn stored_model(&self, space: &SpaceId, head: Position) -> Result<(Position, ReadModel)> {
        let mut moment = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let Some(projection) = projections::find(&mut moment, space).await? else {
            ensure!(head == Position::ZERO, "nothing is folded yet");
            return Ok((head, ReadModel { lines: Vec::new(), hash: StateHash::default() }));
        };
        ensure!(projection.applied >= head, "only {} is folded", projection.applied);
        let lines = entities::all_lines(&mut moment, space, projection.generation).await?;
        Ok((projection.applied, ReadModel { lines, hash: projection.state_hash }))
    }

    /// What the lines' visible entities show.
    fn views(&self, lines: &[String]) -> Result<Views> {
        let mut views = Views::new();
        for line in lines {
            let (key, entity) = Entity::from_line(line, &self.schema)?;
            if entity.is_visible() {
                views.insert((key.entity_type.into(), key.entity_id.to_string()), text(&entity.view())?);
            }
        }
        Ok(views)
    }

    /// What the gateway shows of an entity type.
    async fn shown(&self, space: &SpaceId, entity_type: &str, head: Position) -> Result<Views> {
        let mut views = Views::new();
        let mut cursor = None;
        loop {
            let page = self.patiently("a page of entities", async || {
                self.page(space, entity_type, head, cursor.as_deref()).await
            });
            let page = page.await?;
            ensure!(page.as_of >= head, "the gateway shows {space} as of {}, not of {head}", page.as_of);
            for item in page.items {
                views.insert((entity_type.to_owned(), item.entity_id), text(&item.fields)?);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(views);
            }
        }
    }

    async fn page(
        &self,
        space: &SpaceId,
        entity_type: &str,
        head: Position,
        cursor: Option<&str>,
    ) -> Result<EntityPage> {
        let mut url = self.gateway.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "spaces", space.as_str(), "entities", entity_type]);
        }
        url.query_pairs_mut()
            .append_pair("limit", &MAX_READ_ENTITIES.to_string())
            .append_pair("atLeast", &head.to_string())
            .extend_pairs(cursor.map(|cursor| ("cursor", cursor)));
        let answer = self.http.get(url).bearer_auth(&self.reader_token).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

fn log_event(segment: &SegmentHeader, position: Position, line: &str) -> Result<LogEvent> {
    let batch = segment.batch_at(position).context("an event without a batch")?;
    Ok(LogEvent { position, device: batch.device_id.clone(), line: line.to_owned() })
}

/// In one form: what PostgreSQL keeps of a number is not how it was written.
fn text(fields: &Map<String, Value>) -> Result<String> {
    Ok(String::from_utf8(canonical(fields)?)?)
}
