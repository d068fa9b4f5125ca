//! Followers: other readers that wait at the end of a space's log and take what comes, as frames. What they see, and
//! when, tells how long an event takes from its push to another device.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tidelog_events::frame::{Decoder, SegmentHeader, SnapshotHeader, inspect};
use tidelog_events::id::SpaceId;
use tidelog_events::limits::MAX_BODY_BYTES;
use tidelog_events::protocol::HelloLine;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Form};
use super::latency::Latencies;
use super::phone::PushRecord;

/// Seconds that a pull waits for news.
const WAIT_SECONDS: u64 = 5;
/// What was pushed arrives within this, or is lost on the way to its follower.
const ARRIVED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Events of one answer.
const LIMIT: u64 = 10_000;

/// A space that is followed.
pub(super) struct Follower {
    /// Its number.
    pub(super) number: u32,
    pub(super) space: SpaceId,
    pub(super) connection: Connection,
    /// The position that it has reached.
    pub(super) cursor: Arc<AtomicU64>,
}

/// What followers saw.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// By space: the position that was reached, and when.
    reached: BTreeMap<u32, Vec<(u64, Instant)>>,
    begun_at: BTreeMap<u32, u64>,
}

/// Follows each space from its head on until `stop`.
pub(super) async fn run(followers: Vec<Follower>, stop: &CancellationToken) -> Result<Followed> {
    let mut tasks = JoinSet::new();
    for follower in followers {
        tasks.spawn(follow(follower, stop.clone()));
    }
    let mut followed = Followed::default();
    while let Some(ended) = tasks.join_next().await {
        let (number, begun_at, reached) = ended.context("a follower ended")??;
        followed.begun_at.insert(number, begun_at);
        followed.reached.insert(number, reached);
    }
    Ok(followed)
}

/// Waits until what was pushed has arrived at the followers; what has not by then, they lost.
pub(super) async fn until_all_arrived(cursors: &[(u32, Arc<AtomicU64>)], pushes: &[PushRecord]) {
    let deadline = Instant::now() + ARRIVED_WITHIN;
    for (number, cursor) in cursors {
        let last = pushes.iter().filter(|push| push.space == *number).map(|push| push.last).max();
        while cursor.load(Ordering::Relaxed) < last.unwrap_or(0) && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
        }
    }
}

async fn follow(mut follower: Follower, stop: CancellationToken) -> Result<(u32, u64, Vec<(u64, Instant)>)> {
    let mut decoder = Decoder::new()?;
    let space = follower.space;
    let head =
        follower.connection.pull(&format!("/v1/spaces/{space}/log?after=0&limit=1"), Form::Frames).await?;
    let begun_at = hello(&mut decoder, &head)?.0;
    let (mut cursor, mut reached) = (begun_at, Vec::new());
    while !stop.is_cancelled() {
        let path = format!("/v1/spaces/{space}/log?after={cursor}&limit={LIMIT}&wait={WAIT_SECONDS}");
        let answer = tokio::select! {
            answer = follower.connection.pull(&path, Form::Frames) => answer?,
            () = stop.cancelled() => break,
        };
        cursor = last_position(&mut decoder, &answer)?.unwrap_or(cursor);
        reached.push((cursor, Instant::now()));
        follower.cursor.store(cursor, Ordering::Relaxed);
    }
    Ok((follower.number, begun_at, reached))
}

/// The head that an answer begins with, and what stands behind the hello.
fn hello<'a>(decoder: &mut Decoder, answer: &'a [u8]) -> Result<(u64, &'a [u8])> {
    let (line, rest) = decoder.decode_first(answer, MAX_BODY_BYTES)?;
    let line: HelloLine = serde_json::from_slice(&line).context("an answer begins with no hello")?;
    Ok((line.hello.head.0, rest))
}

/// The position of an answer's last event; only its header frames are decoded. A snapshot is refused: events that nobody
/// can read any more are neither seen nor late.
pub(super) fn last_position(decoder: &mut Decoder, answer: &[u8]) -> Result<Option<u64>> {
    let (_, mut rest) = hello(decoder, answer)?;
    if !rest.is_empty() {
        let (first_header, _) = decoder.decode_first(rest, MAX_BODY_BYTES)?;
        ensure!(
            SnapshotHeader::parse(&first_header).is_none(),
            "the log was pruned beyond what the bench has read: run it with a retention that is longer than the bench"
        );
    }
    let mut last = None;
    while !rest.is_empty() {
        let header_bytes = inspect(rest)?.frame_bytes;
        let (header, body) = rest.split_at(header_bytes);
        let frame_bytes = inspect(body)?.frame_bytes;
        if body.len() == frame_bytes {
            let line = decoder.decode_one(header, MAX_BODY_BYTES)?;
            let header = SegmentHeader::parse(&line);
            last = Some(header.context("a segment has no header")?.last.0);
        }
        rest = &body[frame_bytes..];
    }
    Ok(last)
}

impl Followed {
    /// From the beginning of each push to its arrival at the follower of its space.
    pub(super) fn visible_latencies(&self, pushes: &[PushRecord], from: Instant, to: Instant) -> Latencies {
        let mut latencies = Latencies::default();
        for push in pushes.iter().filter(|push| push.began >= from && push.answered <= to) {
            let Some(reached) = self.reached.get(&push.space) else { continue };
            let seen = reached.partition_point(|(position, _)| *position < push.last);
            if let Some((_, at)) = reached.get(seen) {
                latencies.add(at.saturating_duration_since(push.began));
            }
        }
        latencies
    }

    /// Events that arrived between two moments.
    pub(super) fn events(&self, from: Instant, to: Instant) -> u64 {
        let through = |number: &u32, reached: &[(u64, Instant)], moment: Instant| {
            let nth = reached.partition_point(|(_, at)| *at <= moment);
            nth.checked_sub(1).map_or(self.begun_at[number], |last| reached[last].0)
        };
        self.reached
            .iter()
            .map(|(number, reached)| through(number, reached, to) - through(number, reached, from))
            .sum()
    }
}
