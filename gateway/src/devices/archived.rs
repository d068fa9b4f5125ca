//! What the archive has of a device's sequences: those that were pruned from the log.

use std::sync::Arc;

use tidelog_archive::{ArchiveError, History, HistoryError};
use tidelog_events::code::Refusal;
use tidelog_events::protocol::DeviceEvent;
use tidelog_store::segments::DeviceRange;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::stored::decoded;
use crate::codecs::Codecs;
use crate::problem::Problem;
use crate::pull::READ_TIMEOUT;

/// Log and archive as one, and room for so many reads of them.
#[derive(Debug, Clone)]
pub struct ArchiveReads {
    history: History,
    room: Arc<Semaphore>,
}

impl ArchiveReads {
    pub(crate) fn new(history: History, at_once: usize) -> Self {
        Self { history, room: Arc::new(Semaphore::new(at_once)) }
    }

    /// Log and archive as one; who reads the archive has entered.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Waits for a place among those who read the archive.
    pub(crate) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_owned().await.ok()
    }

    /// Reads what is wanted, in order of position.
    pub(super) async fn read(
        &self,
        wanted: &DeviceRange,
        codecs: &Codecs,
    ) -> Result<Vec<DeviceEvent>, Problem> {
        let read = async {
            let _place = self.room.acquire().await;
            read_all(&self.history, wanted, codecs).await
        };
        timeout(READ_TIMEOUT, read).await.unwrap_or_else(|elapsed| Err(away(&elapsed)))
    }
}

async fn read_all(
    history: &History,
    wanted: &DeviceRange,
    codecs: &Codecs,
) -> Result<Vec<DeviceEvent>, Problem> {
    let mut reader = history.of_device(&wanted.space, &wanted.device, wanted.range);
    let mut events = Vec::new();
    while let Some(segments) = reader.next_segments().await.map_err(|error| problem(&error))? {
        events.extend(decoded(&segments, wanted, codecs)?);
    }
    Ok(events)
}

/// The answer to whoever asked for what cannot be read.
pub(crate) fn problem(error: &HistoryError) -> Problem {
    match error {
        HistoryError::Database(error) => Problem::from_database(error),
        HistoryError::Archive(ArchiveError::Away { .. }) => away(error),
        HistoryError::Replaced { .. } => {
            Problem::new(Refusal::Overloaded, "the log was replaced while it was read; ask again")
        }
        _ => Problem::internal(error),
    }
}

/// The archive cannot be asked just now.
pub(crate) fn away(cause: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::warn!(error = cause, "the archive did not answer");
    Problem::new(Refusal::Overloaded, "the archive, which has the events asked for, cannot be read just now")
}
