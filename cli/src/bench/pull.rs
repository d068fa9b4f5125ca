//! Pulls whole logs, and small parts of random spaces, as fast as the gateway answers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tidelog_events::frame::Decoder;
use tidelog_events::id::SpaceId;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::{Connection, Form};
use super::follow::last_position;
use super::latency::Latencies;
use super::target::Target;

/// Events of one answer when whole logs are pulled: the most that the gateway gives.
const WHOLE_LIMIT: u64 = 10_000;
/// Readers of whole logs at once.
const WHOLE_READERS: usize = 4;
/// Events of one answer when random parts are pulled, and readers at once.
const PART_LIMIT: u64 = 200;
const PART_READERS: usize = 16;
/// More than the stack ever decodes one answer to.
pub(super) const DECODED_MAX: usize = 64 * 1024 * 1024;

/// What is done with the frames of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Only their headers are looked at.
    Stored,
    /// They are decoded here.
    Decoded,
    /// The gateway decodes them.
    Lines,
}

/// What readers got.
#[derive(Debug, Default)]
pub(super) struct Pulled {
    pub(super) events: u64,
    pub(super) seconds: f64,
    pub(super) latencies: Latencies,
}

impl Pulled {
    /// Events a second.
    pub(super) fn rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// Pulls the logs of the spaces from their beginning, again and again, for `duration`.
pub(super) async fn whole_logs(
    target: &Target,
    spaces: &[SpaceId],
    reading: Reading,
    duration: Duration,
) -> Result<Pulled> {
    let mut tasks = JoinSet::new();
    let (started, until) = (Instant::now(), Instant::now() + duration);
    for reader in 0..WHOLE_READERS {
        let connection = target.reader().await?;
        let mine: Vec<SpaceId> =
            spaces.iter().skip(reader % spaces.len()).step_by(WHOLE_READERS).cloned().collect();
        tasks.spawn(read_whole(connection, mine, reading, until));
    }
    collect(tasks, started).await
}

async fn read_whole(
    mut connection: Connection,
    spaces: Vec<SpaceId>,
    reading: Reading,
    until: Instant,
) -> Result<Pulled> {
    let mut decoder = Decoder::new()?;
    let mut pulled = Pulled::default();
    for space in spaces.iter().cycle() {
        let mut cursor = 0;
        loop {
            if Instant::now() >= until {
                return Ok(pulled);
            }
            let form = if reading == Reading::Lines { Form::Lines } else { Form::Frames };
            let path = format!("/v1/spaces/{space}/log?after={cursor}&limit={WHOLE_LIMIT}");
            let answer = connection.pull(&path, form).await?;
            let events = match reading {
                Reading::Stored => last_position(&mut decoder, &answer)?.map_or(0, |last| last - cursor),
                Reading::Decoded => count_events(&decoder.decode_all(&answer, DECODED_MAX)?),
                Reading::Lines => count_events(&answer),
            };
            if events == 0 {
                ensure!(cursor > 0, "the space {space} has no events to pull");
                break;
            }
            pulled.events += events;
            cursor += events;
        }
    }
    Ok(pulled)
}

/// Event lines of an answer. The bench's own events, and none of the control lines, begin with `eventId`.
fn count_events(lines: &[u8]) -> u64 {
    memchr::memmem::find_iter(lines, b"\n{\"eventId\"").count() as u64
}

/// Pulls 200 events at random places of random spaces, 16 pulls at a time, for `duration`. `heads` are the spaces'.
pub(super) async fn random_parts(
    target: &Target,
    spaces: &[(SpaceId, u64)],
    duration: Duration,
) -> Result<Pulled> {
    let mut tasks = JoinSet::new();
    let (started, until) = (Instant::now(), Instant::now() + duration);
    for _ in 0..PART_READERS {
        tasks.spawn(read_parts(target.reader().await?, spaces.to_vec(), until));
    }
    collect(tasks, started).await
}

async fn read_parts(
    mut connection: Connection,
    spaces: Vec<(SpaceId, u64)>,
    until: Instant,
) -> Result<Pulled> {
    let mut decoder = Decoder::new()?;
    let mut pulled = Pulled::default();
    while Instant::now() < until {
        let (space, head) = &spaces[fastrand::usize(..spaces.len())];
        let after = fastrand::u64(..=head.saturating_sub(PART_LIMIT));
        let began = Instant::now();
        let answer = connection
            .pull(&format!("/v1/spaces/{space}/log?after={after}&limit={PART_LIMIT}"), Form::Frames)
            .await?;
        pulled.latencies.add(began.elapsed());
        pulled.events += last_position(&mut decoder, &answer)?.map_or(0, |last| last - after);
    }
    Ok(pulled)
}

async fn collect(mut tasks: JoinSet<Result<Pulled>>, started: Instant) -> Result<Pulled> {
    let mut all = Pulled::default();
    while let Some(ended) = tasks.join_next().await {
        let one = ended.context("a reader ended")??;
        all.events += one.events;
        all.latencies.extend(one.latencies);
    }
    all.seconds = started.elapsed().as_secs_f64();
    Ok(all)
}
