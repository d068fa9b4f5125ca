//! Pull answers, as a gateway would send them of a log that is made up here.

use tidelog_events::frame::{BatchHeader, SegmentBatch, SegmentHeader, write_batch, write_line};
use tidelog_events::id::{DeviceId, Epoch, Position, UserId};
use tidelog_events::protocol::{DeviceState, Hello, HelloLine, UtcTime};
use uuid::Uuid;

/// Events of a batch.
pub(super) const BATCH: usize = 50;
/// Events of a pull.
pub(super) const PULL: usize = 1000;

/// Events of one device, one line each, in a row.
pub(super) struct Batch {
    pub(super) device: DeviceId,
    pub(super) lines: Vec<String>,
}

/// A log that is only told of.
pub(super) struct MadeUpLog {
    pub(super) user: UserId,
    pub(super) head: Position,
}

impl MadeUpLog {
    /// The answer that holds these batches, which stand behind `after`.
    pub(super) fn answer(
        &self,
        after: Position,
        batches: &[Batch],
        reader: DeviceState,
        server_time: UtcTime,
    ) -> String {
        let mut answer = Vec::new();
        let hello = Hello {
            server_time,
            epoch: Some(Epoch(Uuid::from_u128(1))),
            head: self.head,
            horizon: Position::ZERO,
            schema_version: 3,
            cursor: after,
            device: Some(reader),
        };
        write_line(&mut answer, &HelloLine { hello });
        let mut last = after;
        for batch in batches {
            let first = last.next();
            last = Position(last.0 + batch.lines.len() as u64);
            answer.extend(self.segment(first, last, batch, server_time));
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn segment(&self, first: Position, last: Position, batch: &Batch, received_at: UtcTime) -> Vec<u8> {
        let pushed = SegmentBatch {
            first,
            device_id: batch.device.clone(),
            user_id: self.user.clone(),
            received_at,
            released: false,
        };
        let lines = batch.lines.len() as u64 + 1;
        let header = SegmentHeader { first, last, lines, batches: vec![pushed], positions: None };
        let mut segment = header.line();
        let batch_header = BatchHeader { device_id: Some(batch.device.clone()), user_id: None, after: None };
        segment.extend(write_batch(&batch_header, &batch.lines));
        segment
    }
}
