//! Readers that are no phones: fresh ones, which want everything at once, and ones that read a page now and then, while
//! the horizon moves.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tidelog_events::id::SpaceId;
use tidelog_events::schema::Schema;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::reader::{Observation, Reader, Reads};
use super::super::target::Target;

/// Events of a pull.
pub(super) const LIMIT: u64 = 1000;

/// What readers have seen.
#[derive(Debug, Default)]
pub(super) struct Witnessed {
    /// Each with the number of its space.
    pub(super) observations: Vec<(usize, Observation)>,
    pub(super) reads: Reads,
    /// Readers that began with nothing.
    pub(super) fresh: u64,
}

impl Witnessed {
    /// Adds another's.
    pub(super) fn add(&mut self, other: Self) {
        self.observations.extend(other.observations);
        self.reads.add(other.reads);
        self.fresh += other.fresh;
    }

    /// Notes what a reader has seen so far.
    pub(super) fn observe(&mut self, space: usize, reader: &mut Reader) {
        self.observations.push((space, reader.observe()));
    }

    /// What was seen of a space.
    pub(super) fn of(&self, space: usize) -> Vec<Observation> {
        let of_it = self.observations.iter().filter(|(number, _)| *number == space);
        of_it.map(|(_, observation)| observation.clone()).collect()
    }
}

/// Where readers read.
#[derive(Clone)]
pub(super) struct Library {
    pub(super) target: Arc<Target>,
    pub(super) schema: Arc<Schema>,
    pub(super) spaces: Arc<[SpaceId]>,
}

impl Library {
    async fn reader(&self, space: usize) -> Result<Reader> {
        Reader::new(self.target.reader().await?, &self.schema, &self.spaces[space], None)
    }

    /// A fresh reader reads a whole space, and says what it is.
    pub(super) async fn read_whole(&self, space: usize, witnessed: &mut Witnessed) -> Result<()> {
        let mut reader = self.reader(space).await?;
        reader.pull_all(LIMIT).await?;
        witnessed.observe(space, &mut reader);
        witnessed.reads.add(reader.reads);
        witnessed.fresh += 1;
        Ok(())
    }

    /// Fresh readers of random spaces, one after the other, each so long behind the other.
    pub(super) async fn read_fresh(self, every: Duration, stop: CancellationToken) -> Result<Witnessed> {
        let mut witnessed = Witnessed::default();
        while !stop.is_cancelled() {
            self.read_whole(fastrand::usize(..self.spaces.len()), &mut witnessed).await?;
            stop.run_until_cancelled(sleep(every)).await;
        }
        Ok(witnessed)
    }

    /// Reads random spaces, one after the other, a segment at a time, with pauses of up to so long between them: the
    /// horizon overtakes it now and then.
    pub(super) async fn read_paging(self, pause: Duration, stop: CancellationToken) -> Result<Witnessed> {
        let mut witnessed = Witnessed::default();
        while !stop.is_cancelled() {
            let space = fastrand::usize(..self.spaces.len());
            let mut reader = self.reader(space).await?;
            witnessed.fresh += 1;
            loop {
                let has_all = reader.pull(1).await?;
                witnessed.observe(space, &mut reader);
                stop.run_until_cancelled(sleep(pause.mul_f64(fastrand::f64()))).await;
                if has_all || stop.is_cancelled() {
                    break;
                }
            }
            witnessed.reads.add(reader.reads);
        }
        Ok(witnessed)
    }
}
