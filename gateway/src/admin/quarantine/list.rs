//! The list of quarantine: events and messages together, the latest first.

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tidelog_events::code::{Fault, Refusal};
use tidelog_events::event::judge;
use tidelog_events::id::{DeviceId, EventId, Sequence, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;
use tidelog_runtime::database::within;
use tidelog_store::quarantine::listed::{self, Behind, Dismissal, Filter, ListedEvent};
use tidelog_store::quarantined_messages::{self, ListedMessage, Listing};
use utoipa::{IntoParams, ToSchema};

use super::EntryId;
use crate::admin::page::{PageCursor, page_limit};
use crate::auth::AdminReader;
use crate::problem::Problem;
use crate::pull::{READ_TIMEOUT, one_moment};
use crate::schema::CurrentSchema;

/// Entries of a page when the caller does not say, and at most: each may have a line of 64 KiB.
const DEFAULT_ENTRIES: usize = 50;
const MAX_ENTRIES: usize = 100;
/// Bytes of a line that are shown, and characters of a message's header.
const SHOWN_BYTES: usize = 16 * 1024;
const SHOWN_HEADER_CHARS: i32 = 4096;
/// Later than anything: microseconds of the year 2255.
const END_OF_TIME_US: i64 = 9_000_000_000_000_000;

/// Which entries.
#[derive(Debug, Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Shown {
    /// Those that were dismissed.
    True,
    /// Those that were not.
    #[default]
    False,
    /// All.
    All,
}

/// The query.
#[derive(Debug, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct QuarantineParams {
    /// Only of this space.
    #[param(value_type = Option<String>, example = "ann")]
    space: Option<SpaceId>,
    /// Only of this device; together with `space`.
    #[param(value_type = Option<String>)]
    device_id: Option<DeviceId>,
    /// Only events with this code.
    #[param(value_type = Option<String>, example = "event-unknown-type")]
    code: Option<Fault>,
    /// `false`: only what nobody has dismissed; `true`: only what somebody has; `all`.
    #[serde(default)]
    #[param(inline, default = "false")]
    dismissed: Shown,
    /// Entries of the page, at most; clamped to 100.
    #[param(default = 50, minimum = 1)]
    limit: Option<u64>,
    /// Where the page begins: the `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<PageCursor<Place>>,
}

/// Where a page ended. At the same time events come before messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Place {
    Event(i64, String, String, i64),
    Message(i64, String, String),
}

impl Place {
    fn start() -> Self {
        Self::Event(END_OF_TIME_US, String::new(), String::new(), 0)
    }

    fn check(&self) -> Result<(), Problem> {
        let (us, digest) = match self {
            Self::Event(us, ..) => (us, ""),
            Self::Message(us, _, digest) => (us, digest.as_str()),
        };
        let texts_fit = match self {
            Self::Event(_, space, device, _) => !space.contains('\0') && !device.contains('\0'),
            Self::Message(_, space, _) => !space.contains('\0'),
        };
        let is_hex = digest.len().is_multiple_of(2) && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if texts_fit && is_hex && (0..=END_OF_TIME_US).contains(us) {
            Ok(())
        } else {
            Err(invalid("`cursor` must be the `next` of the page before"))
        }
    }

    fn events(&self) -> Behind {
        let (received_us, space, device, sequence) = match self.clone() {
            Self::Event(us, space, device, sequence) => (us, space, device, sequence),
            // All events of that moment have been shown.
            Self::Message(us, ..) => (us, String::new(), String::new(), 0),
        };
        Behind { received_us, space, device, sequence }
    }

    fn messages(&self) -> (i64, &str, &str) {
        match self {
            // None of that moment has.
            Self::Event(us, ..) => (us + 1, "", ""),
            Self::Message(us, space, digest) => (*us, space, digest),
        }
    }
}

/// What lies in quarantine.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuarantinePage {
    /// The entries, the latest first.
    items: Vec<Entry>,
    /// The `cursor` of the next page; null at the end.
    #[schema(value_type = Option<String>)]
    next: Option<PageCursor<Place>>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum EntryKind {
    /// An event.
    Event,
    /// A message of the broker that no events could be read from.
    Message,
}

/// An entry of quarantine. What a message does not tell is null.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "id": "eyJldmVudCI6WyJhbm4iLCJwaG9uZS0xIiw1MV19", "kind": "event", "space": "ann", "deviceId": "phone-1", "userId": "ann",
    "deviceSequence": 51, "eventId": "018f4f7e-0000-7000-8000-000000000051", "code": "event-unknown-type",
    "detail": "schema version 3 has no event type `NOTE_ADDED`", "receivedAt": "2026-11-22T19:15:20.123Z",
    "schemaVersion": 3, "line": "{\"eventId\":\"018f4f7e-0000-7000-8000-000000000051\"}", "lineBytes": 50,
    "lineCut": false, "lineLossy": false, "releasable": false, "dismissed": null
}))]
pub(crate) struct Entry {
    /// What it is released and dismissed by.
    #[schema(value_type = String)]
    id: EntryId,
    /// What it is.
    kind: EntryKind,
    /// The space; of a message what it named, which may be empty.
    space: String,
    /// The device.
    #[schema(value_type = Option<String>)]
    device_id: Option<DeviceId>,
    /// The author.
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    /// The device's number for it.
    #[schema(value_type = Option<u64>)]
    device_sequence: Option<Sequence>,
    /// Its id.
    #[schema(value_type = Option<uuid::Uuid>)]
    event_id: Option<EventId>,
    /// Why it lies there.
    code: Option<Fault>,
    /// Why, for people.
    detail: String,
    /// When it came.
    received_at: UtcTime,
    /// The schema version that found the fault.
    schema_version: Option<u32>,
    /// The event line, or the message's header, the first 16 KiB of it.
    line: String,
    /// Bytes of the line, or of the message's payload.
    line_bytes: u64,
    /// Whether `line` is not all of it.
    line_cut: bool,
    /// Whether bytes of it are no UTF-8, and shown as `U+FFFD`.
    line_lossy: bool,
    /// Whether the schema in force accepts the event.
    releasable: bool,
    /// Who has dismissed it, and when; null: nobody.
    dismissed: Option<Dismissed>,
}

/// Who has dismissed an entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Dismissed {
    /// When.
    at: UtcTime,
    /// The token's `sub`.
    #[schema(value_type = String)]
    by: UserId,
}

impl From<Dismissal> for Dismissed {
    fn from(Dismissal { at, by }: Dismissal) -> Self {
        Self { at, by }
    }
}

impl Entry {
    fn event(listed: ListedEvent, schema: &Schema) -> Self {
        let event = listed.event;
        let text = std::str::from_utf8(&event.line);
        let judged = text.ok().and_then(|line| judge(line, schema).ok());
        let shown = &event.line[..event.line.len().min(SHOWN_BYTES)];
        let (device_id, device_sequence) = (event.device.clone(), event.event.device_sequence);
        Self {
            id: EntryId::Event { space: event.space.clone(), device_id, device_sequence },
            kind: EntryKind::Event,
            space: event.space.to_string(),
            device_id: Some(event.device),
            user_id: Some(event.user),
            device_sequence: Some(device_sequence),
            event_id: Some(event.event.event_id),
            code: Some(event.event.code),
            detail: event.event.detail,
            received_at: event.received_at,
            schema_version: Some(event.schema_version),
            line: String::from_utf8_lossy(shown).into_owned(),
            line_bytes: event.line.len() as u64,
            line_cut: event.line.len() > SHOWN_BYTES,
            line_lossy: text.is_err(),
            releasable: judged.is_some_and(|judged| judged.finding.is_none()),
            dismissed: listed.dismissed.map(Into::into),
        }
    }

    fn message(message: ListedMessage) -> Self {
        Self {
            received_at: message.received_at(),
            kind: EntryKind::Message,
            id: EntryId::Message { space: message.space.clone(), digest: message.digest },
            space: message.space,
            device_id: None,
            user_id: None,
            device_sequence: None,
            event_id: None,
            code: None,
            detail: message.reason,
            schema_version: None,
            line_cut: message.header.chars().count() >= SHOWN_HEADER_CHARS as usize,
            line: message.header,
            line_bytes: message.payload_bytes,
            line_lossy: false,
            releasable: false,
            dismissed: message.dismissed.map(Into::into),
        }
    }
}

/// List quarantine
///
/// Events that the log could not take, and messages that no events could be read from, the latest first.
#[utoipa::path(
    get,
    path = "/admin/v1/quarantine",
    tag = "quarantine",
    params(QuarantineParams),
    responses(
        (status = 200, description = "A page", body = QuarantinePage),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn list_quarantine(
    _: AdminReader,
    params: QuarantineParams,
    State(pool): State<PgPool>,
    State(schema): State<CurrentSchema>,
) -> Result<Json<QuarantinePage>, Problem> {
    if params.device_id.is_some() && params.space.is_none() {
        return Err(invalid("`deviceId` goes together with `space`"));
    }
    let place = params.cursor.as_ref().map_or_else(Place::start, |PageCursor(place)| place.clone());
    place.check()?;
    let limit = page_limit(params.limit, DEFAULT_ENTRIES, MAX_ENTRIES)?;
    let (events, messages) = within(READ_TIMEOUT, read(&pool, &params, &place, limit as i64 + 1)).await?;
    let schema = schema.get();
    // Judging a page of the longest lines takes milliseconds; the other requests of this thread go on elsewhere.
    Ok(Json(tokio::task::block_in_place(|| merged(events, messages, limit, &schema))))
}

async fn read(
    pool: &PgPool,
    params: &QuarantineParams,
    place: &Place,
    limit: i64,
) -> sqlx::Result<(Vec<ListedEvent>, Vec<ListedMessage>)> {
    let dismissed = match params.dismissed {
        Shown::True => Some(true),
        Shown::False => Some(false),
        Shown::All => None,
    };
    let code = params.code.map(|code| code.as_str().to_owned());
    let filter = Filter { device: params.device_id.clone(), code, dismissed };
    let mut moment = one_moment(pool).await?;
    let events = match &params.space {
        Some(space) => listed::of_space(&mut moment, space, &filter, &place.events(), limit).await?,
        None => listed::of_all(&mut moment, &filter, &place.events(), limit).await?,
    };
    // Messages have neither device nor code.
    if params.device_id.is_some() || params.code.is_some() {
        return Ok((events, Vec::new()));
    }
    let space = params.space.as_ref().map(SpaceId::as_str);
    let (behind, header_chars) = (place.messages(), SHOWN_HEADER_CHARS);
    let listing = Listing { space, dismissed, behind, limit, header_chars };
    Ok((events, quarantined_messages::list(&mut moment, &listing).await?))
}

/// A page of both, in order of time.
fn merged(
    events: Vec<ListedEvent>,
    messages: Vec<ListedMessage>,
    limit: usize,
    schema: &Schema,
) -> QuarantinePage {
    let (mut events, mut messages) = (events.into_iter().peekable(), messages.into_iter().peekable());
    let mut items = Vec::new();
    let mut last = None;
    while items.len() < limit {
        let message_us = messages.peek().map(|message| message.received_us);
        let is_next = |event: &ListedEvent| message_us.is_none_or(|message| event.received_us >= message);
        if let Some(event) = events.next_if(is_next) {
            let key = &event.event;
            let (space, device) = (key.space.to_string(), key.device.to_string());
            last = Some(Place::Event(event.received_us, space, device, key.event.device_sequence.as_i64()));
            items.push(Entry::event(event, schema));
        } else if let Some(message) = messages.next() {
            let (space, digest) = (message.space.clone(), message.digest.clone());
            last = Some(Place::Message(message.received_us, space, digest));
            items.push(Entry::message(message));
        } else {
            break;
        }
    }
    let more = events.peek().is_some() || messages.peek().is_some();
    QuarantinePage { items, next: last.filter(|_| more).map(PageCursor) }
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Refusal::RequestInvalid, detail)
}
