//! The pipeline as the answer shows it, and what each number means.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::broker::{ConsumerStanding, StreamStanding};
use tidelog_store::backlogs::Refused;
use utoipa::ToSchema;

use super::Swept;
use super::rates::{Pace, Sample, pace};

const MOMENT: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_mins(1);

/// The pipeline. A stage that cannot be asked is null.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PipelineAnswer {
    /// The server's time.
    pub(super) server_time: UtcTime,
    /// From the gateways to ingest: the stream PUSH.
    pub(super) push: Option<PushAnswer>,
    /// From ingest to the projector, and to whoever else reads: the stream LOG.
    pub(super) log: Option<LogAnswer>,
    /// The projector's place in LOG. LOG only hints: what counts is `readModels`.
    pub(super) project: Option<ConsumerAnswer>,
    /// How far spaces are folded.
    pub(super) read_models: Option<Backlogs>,
    /// What the compactor has before it.
    pub(super) compact: Option<CompactAnswer>,
    /// What the log could not take.
    pub(super) quarantine: Option<QuarantineAnswer>,
    /// How much passes; null where it was not measured twice since the broker was last away.
    pub(super) rates: Option<Rates>,
    /// Why parts of this answer are null.
    pub(super) away: Vec<Away>,
}

/// Why a part is null.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Away {
    /// The part.
    #[schema(example = "push")]
    part: &'static str,
    /// Why.
    #[schema(example = "the broker does not answer")]
    reason: &'static str,
}

impl Away {
    pub(super) fn new(part: &'static str, reason: &'static str) -> Self {
        Self { part, reason }
    }
}

/// Messages that a consumer has before it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsumerAnswer {
    /// Messages that no replica was handed yet. It grows while the service does not keep up.
    pending: u64,
    /// Messages that were handed to a replica, and are not done with yet.
    in_flight: u64,
    /// Those of them that were handed out more than once.
    redelivered: u64,
}

impl From<&ConsumerStanding> for ConsumerAnswer {
    fn from(standing: &ConsumerStanding) -> Self {
        let ConsumerStanding { pending, in_flight, redelivered, .. } = *standing;
        Self { pending, in_flight, redelivered }
    }
}

/// PUSH, and ingest's place in it. A message is a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PushAnswer {
    /// Messages stored, those included that ingest is done with.
    messages: u64,
    /// Their bytes.
    bytes: u64,
    /// Bytes at which pushes are refused.
    max_bytes: u64,
    /// How full it is. Above `broker.push_trim_percent` ingest removes what is committed.
    #[schema(maximum = 100)]
    percent_full: u64,
    /// Ingest.
    ingest: ConsumerAnswer,
    /// How long ago the oldest batch was pushed that ingest is not done with; 0 where there is none, null where that is not
    /// known.
    oldest_open_ms: Option<u64>,
}

impl PushAnswer {
    pub(super) fn new(standing: &StreamStanding, oldest_open_ms: Option<u64>) -> Self {
        let StreamStanding { messages, bytes, max_bytes, ref consumer, .. } = *standing;
        let percent_full = bytes.saturating_mul(100).checked_div(max_bytes).unwrap_or(100).min(100);
        Self { messages, bytes, max_bytes, percent_full, ingest: consumer.into(), oldest_open_ms }
    }
}

/// LOG. A message is a segment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogAnswer {
    /// Messages stored.
    messages: u64,
    /// Their bytes.
    bytes: u64,
    /// Bytes above which the oldest go.
    max_bytes: u64,
}

impl LogAnswer {
    pub(super) fn new(standing: &StreamStanding) -> Self {
        let StreamStanding { messages, bytes, max_bytes, .. } = *standing;
        Self { messages, bytes, max_bytes }
    }
}

/// How far spaces are folded, as it was found on the last walk over them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Backlogs {
    /// Spaces there are.
    spaces: u64,
    /// Those whose log goes on behind what is folded.
    spaces_behind: u64,
    /// Positions that are not folded, together.
    positions_behind: u64,
    /// Positions by which the space that is furthest behind is.
    most_behind: u64,
    /// When the walk ended.
    as_of: UtcTime,
}

impl Backlogs {
    /// What was found of read models, and how many spaces are due to be pruned.
    pub(super) fn split(swept: Swept) -> (Self, u64) {
        let Swept { backlog, at } = swept;
        let found = Self {
            spaces: backlog.spaces,
            spaces_behind: backlog.behind,
            positions_behind: backlog.positions,
            most_behind: backlog.most,
            as_of: at,
        };
        (found, backlog.due)
    }
}

/// What was refused to be pruned.
pub(super) struct Refusals {
    spaces: u64,
    since: Option<UtcTime>,
}

impl Refusals {
    pub(super) fn new(refused: &Refused) -> Self {
        Self { spaces: refused.spaces, since: refused.since }
    }

    pub(super) fn with_due(self, due: u64) -> CompactAnswer {
        CompactAnswer { due, refused: self.spaces, oldest_refusal_at: self.since }
    }
}

/// What the compactor has before it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompactAnswer {
    /// Spaces that have events to prune by the section `[retention]`, as it was found on the last walk over them. One that
    /// waits for a device is among them.
    due: u64,
    /// Spaces that are not pruned since their read model differs from their log; 10,000 stands for that many or more.
    refused: u64,
    /// When the first refusal that still stands was made; null where there is none.
    oldest_refusal_at: Option<UtcTime>,
}

/// What the log could not take.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuarantineAnswer {
    /// Events in quarantine; 10,000 stands for that many or more.
    events: u64,
    /// Messages that no event could be read from; 10,000 stands for that many or more.
    messages: u64,
    /// Whether there are more than were counted.
    more: bool,
}

impl QuarantineAnswer {
    pub(super) fn new(refused: &Refused, counted_max: u64) -> Self {
        let Refused { events, messages, .. } = *refused;
        Self { events, messages, more: events.max(messages) >= counted_max }
    }
}

/// How much passes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rates {
    /// Over the last ten seconds, or so long as it is measured.
    last_moment: PerSecond,
    /// Over the last minute, or so long as it is measured.
    last_minute: PerSecond,
}

/// How much passes in a second.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PerSecond {
    /// Seconds over which it is the average.
    over_seconds: f64,
    /// Batches that PUSH has taken.
    pushed_batches: f64,
    /// Batches that ingest is done with: committed, found to be duplicates, or refused.
    settled_batches: f64,
    /// Segments that were announced in LOG. Where ingest has to drop announcements, it is less than was committed.
    committed_batches: f64,
    /// Their events. Of more than eight segments between two measurements, it is an estimate.
    committed_events: f64,
    /// Segments whose announcements the projector is done with.
    folded_batches: f64,
    /// Their events, counted alike.
    folded_events: f64,
}

impl Rates {
    pub(super) fn of(samples: &VecDeque<Sample>) -> Option<Self> {
        Some(Self {
            last_moment: PerSecond::of(pace(samples, MOMENT)?),
            last_minute: PerSecond::of(pace(samples, MINUTE)?),
        })
    }
}

impl PerSecond {
    fn of(Pace { over, passed }: Pace) -> Self {
        let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
        let rate = |count: u64| rounded(count as f64 / over.as_secs_f64());
        Self {
            over_seconds: rounded(over.as_secs_f64()),
            pushed_batches: rate(passed.pushed_batches),
            settled_batches: rate(passed.settled_batches),
            committed_batches: rate(passed.committed_batches),
            committed_events: rate(passed.committed_events),
            folded_batches: rate(passed.folded_batches),
            folded_events: rate(passed.folded_events),
        }
    }
}
