//! What spaces take: their logs and snapshots in PostgreSQL, and what of them lies in the archive.

use anyhow::Result;
use sqlx::{PgConnection, PgPool};
use tidelog_events::id::{Position, SpaceId};
use tidelog_store::spaces::Space;
use tidelog_store::{archive, segments, snapshots, spaces};

/// Spaces together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Events that were ever committed.
    pub(super) events: u64,
    /// Events that were pruned.
    pub(super) pruned: u64,
    /// Segments of the log, and their stored frames.
    pub(super) segments: u64,
    pub(super) log_bytes: u64,
    /// The snapshots that readers get.
    pub(super) entities: u64,
    pub(super) snapshot_bytes: u64,
    /// Objects of the archive.
    pub(super) archive_bytes: u64,
}

impl Sizes {
    /// Looks.
    pub(super) async fn look(pool: &PgPool, spaces: &[SpaceId]) -> Result<Self> {
        let mut connection = pool.acquire().await?;
        let mut sizes = Self::default();
        for space in spaces {
            if let Some(space) = spaces::find(&mut connection, space).await? {
                sizes.add(&mut connection, &space).await?;
            }
        }
        Ok(sizes)
    }

    async fn add(&mut self, connection: &mut PgConnection, space: &Space) -> Result<()> {
        let id = &space.space;
        self.events += space.head.0;
        self.pruned += space.horizon.0;
        for segment in segments::facts(connection, id, Position::ZERO, i64::MAX).await? {
            self.segments += 1;
            self.log_bytes += segment.bytes;
        }
        if let Some(snapshot) = snapshots::at(connection, id, space.horizon).await? {
            self.entities += snapshot.entities.values().sum::<u64>();
            self.snapshot_bytes += snapshot.bytes;
        }
        let objects = archive::behind(connection, id, Position::ZERO, i64::MAX).await?;
        self.archive_bytes += objects.iter().map(|object| object.bytes).sum::<u64>();
        Ok(())
    }
}
