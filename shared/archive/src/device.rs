//! What the archive holds of one device's sequences, an object at a time.

use std::collections::VecDeque;

use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::limits::MAX_SAFE_INTEGER;
use tidelog_store::archive;
use tidelog_store::archive::Archived;
use tidelog_store::segments::{Segment, SequenceRange};

use crate::{History, HistoryError};

/// Objects that are looked up at once where nothing says which one holds an event.
const OBJECTS_PER_LOOK: i64 = 100;

/// Reads the archived segments that may hold a device's sequences ([`History::of_device`]).
#[derive(Debug)]
pub struct DeviceReader {
    history: History,
    space: SpaceId,
    device: DeviceId,
    objects: VecDeque<Archived>,
    next_look: NextLook,
}

/// How the next objects are found, once those at hand are read.
#[derive(Debug, Clone, Copy)]
enum NextLook {
    /// They are listed by device and sequence.
    Listed(SequenceRange),
    /// Nothing lists the device: the latest objects before this position.
    Before(Position),
    /// There are no more.
    Over,
}

impl DeviceReader {
    pub(crate) fn new(history: History, space: SpaceId, device: DeviceId, range: SequenceRange) -> Self {
        let is_of_one_event = device.as_str().starts_with(DeviceId::EVENT_PREFIX);
        let next_look = match range.first <= Sequence(1) {
            _ if !is_of_one_event => NextLook::Listed(range),
            true => NextLook::Before(Position(MAX_SAFE_INTEGER)),
            false => NextLook::Over,
        };
        Self { history, space, device, objects: VecDeque::new(), next_look }
    }

    /// The segments of the next object that has any of the device, those of other devices left out; `None` at the end.
    /// They may hold other sequences, and events of other devices.
    pub async fn next_segments(&mut self) -> Result<Option<Vec<Segment>>, HistoryError> {
        loop {
            let Some(listed) = self.next_object().await? else { return Ok(None) };
            let mut segments = self.history.segments_of(&self.space, &listed).await?;
            segments
                .retain(|segment| segment.header.batches.iter().any(|batch| batch.device_id == self.device));
            if segments.is_empty() {
                continue;
            }
            if let NextLook::Before(_) = self.next_look {
                // Its only event is found.
                self.objects.clear();
                self.next_look = NextLook::Over;
            }
            return Ok(Some(segments));
        }
    }

    async fn next_object(&mut self) -> Result<Option<Archived>, HistoryError> {
        if self.objects.is_empty() {
            let mut connection = self.history.pool.acquire().await?;
            let found = match self.next_look {
                NextLook::Listed(range) => {
                    self.next_look = NextLook::Over;
                    archive::of_device(&mut connection, &self.space, &self.device, range).await?
                }
                NextLook::Before(position) => {
                    archive::before(&mut connection, &self.space, position, OBJECTS_PER_LOOK).await?
                }
                NextLook::Over => Vec::new(),
            };
            self.objects = found.into();
        }
        let next = self.objects.pop_front();
        if let (NextLook::Before(_), Some(object)) = (self.next_look, &next) {
            self.next_look = NextLook::Before(object.first);
        }
        Ok(next)
    }
}
