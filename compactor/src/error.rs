//! Why a space was not compacted, by what comes of it.

use tidelog_archive::ArchiveError;
use tidelog_events::fold::{DamagedLine, DamagedLog};
use tidelog_events::frame::FrameError;
use tidelog_events::id::Position;

use crate::base::DamagedSnapshot;
use crate::runs::RunError;

/// What ends the work on a space. Nothing is pruned, and what was pruned before stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The database: later it may do.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The archive store: later it may do, unless what it holds is damaged.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The work folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The log.
    #[error("the log is damaged")]
    Log(#[from] DamagedLog),
    /// A stored snapshot.
    #[error("the snapshot through {through} is damaged")]
    Snapshot {
        /// Its position.
        through: Position,
        /// What is wrong.
        #[source]
        damage: DamagedSnapshot,
    },
    /// A line of a snapshot does not fit the schema in force.
    #[error("a line of the snapshot does not fit the schema")]
    Line(#[from] DamagedLine),
    /// A frame cannot be written or read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Something that must hold between two steps does not: another one was at the space.
    #[error("the space has changed under the compactor: {0}")]
    Changed(&'static str),
}
