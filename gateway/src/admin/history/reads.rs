//! Room for reads of histories: each may hold an object of the archive, or a state, in memory.

use std::sync::Arc;

use tidelog_archive::{BackwardReader, History, HistoryChunk, HistoryReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::devices::{ArchiveReads, away, history_problem};
use crate::problem::Problem;
use crate::pull::READ_TIMEOUT;

/// Log and archive as one, and room for so many who read far into them.
#[derive(Debug, Clone)]
pub struct HistoryReads {
    archive: ArchiveReads,
    room: Arc<Semaphore>,
}

/// A place among those who read far.
#[derive(Debug)]
pub(super) struct Place {
    _here: Option<OwnedSemaphorePermit>,
    _at_the_archive: Option<OwnedSemaphorePermit>,
}

impl HistoryReads {
    pub(crate) fn new(archive: ArchiveReads, at_once: usize) -> Self {
        Self { archive, room: Arc::new(Semaphore::new(at_once)) }
    }

    /// Where histories are read.
    pub(super) fn history(&self) -> &History {
        self.archive.history()
    }

    /// Waits for a place, in which the archive may be read.
    pub(super) async fn enter(&self) -> Result<Place, Problem> {
        let places = async {
            let here = self.room.clone().acquire_owned().await.ok();
            Place { _here: here, _at_the_archive: self.archive.enter().await }
        };
        timeout(READ_TIMEOUT, places).await.map_err(|elapsed| away(&elapsed))
    }
}

/// What comes next; `None` at the head.
pub(super) async fn next_chunk(reader: &mut HistoryReader) -> Result<Option<HistoryChunk>, Problem> {
    let read = timeout(READ_TIMEOUT, reader.next_chunk()).await.map_err(|elapsed| away(&elapsed))?;
    read.map_err(|error| history_problem(&error))
}

/// What comes before; `None` at the beginning.
pub(super) async fn chunk_before(reader: &mut BackwardReader) -> Result<Option<HistoryChunk>, Problem> {
    let read = timeout(READ_TIMEOUT, reader.next_chunk()).await.map_err(|elapsed| away(&elapsed))?;
    read.map_err(|error| history_problem(&error))
}
