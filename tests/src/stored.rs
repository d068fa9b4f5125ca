//! What PostgreSQL holds, looked at past the gateway.

use sqlx::Row;
use tidelog_events::frame::{Decoder, inspect};
use tidelog_events::limits::MAX_BODY_BYTES;

use crate::world::World;

/// A row of `segments`.
#[derive(Debug)]
pub struct StoredSegment {
    /// Position of the first event.
    pub first: i64,
    /// Position of the last event.
    pub last: i64,
    /// The device's sequences, where the segment is one batch.
    pub sequences: Option<(i64, i64)>,
    /// Whether the event lay in quarantine before.
    pub released: bool,
    /// The frame.
    pub frame: Vec<u8>,
}

impl StoredSegment {
    /// The frame's lines, without their `\n`.
    ///
    /// # Panics
    /// When the frame is not one safe frame with nothing behind it, or its last line is not ended.
    pub fn lines(&self) -> Vec<String> {
        let frame = inspect(&self.frame).expect("a safe frame");
        assert_eq!(frame.frame_bytes, self.frame.len(), "nothing stands behind the frame");
        let mut decoder = Decoder::new().expect("a decoder");
        let content = decoder.decode_one(&self.frame, 2 * MAX_BODY_BYTES).expect("a frame that decodes");
        let text = String::from_utf8(content).expect("UTF-8");
        let ended = text.strip_suffix('\n').expect("every line is ended");
        ended.split('\n').map(str::to_owned).collect()
    }
}

/// A row of `quarantine`.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredQuarantined {
    /// The device's number for the event.
    pub sequence: i64,
    /// Why it lies there.
    pub code: String,
    /// Its line.
    pub line: String,
}

/// How much the whole installation holds: what a refused request must not change.
#[derive(Debug, PartialEq, Eq)]
pub struct Holdings {
    heads: i64,
    segments: i64,
    watermarks: i64,
    quarantined: i64,
    quarantined_messages: i64,
}

impl World {
    /// The segments of a space, by position.
    pub async fn segments(&self, space: &str) -> Vec<StoredSegment> {
        let rows = sqlx::query(
            "SELECT first, last, first_sequence, last_sequence, released, frame
             FROM segments WHERE space_id = $1 ORDER BY last",
        );
        let rows = rows.bind(space).fetch_all(&self.pool).await.expect("segments");
        let segment = |row: &sqlx::postgres::PgRow| StoredSegment {
            first: row.get("first"),
            last: row.get("last"),
            sequences: row.get::<Option<i64>, _>("first_sequence").zip(row.get("last_sequence")),
            released: row.get("released"),
            frame: row.get("frame"),
        };
        rows.iter().map(segment).collect()
    }

    /// The quarantined events of a device, by sequence.
    pub async fn quarantine(&self, space: &str, device: &str) -> Vec<StoredQuarantined> {
        let rows = sqlx::query(
            "SELECT device_sequence, code, line FROM quarantine
             WHERE space_id = $1 AND device_id = $2 ORDER BY device_sequence",
        );
        let rows = rows.bind(space).bind(device).fetch_all(&self.pool).await.expect("quarantine");
        let event = |row: &sqlx::postgres::PgRow| StoredQuarantined {
            sequence: row.get("device_sequence"),
            code: row.get("code"),
            line: String::from_utf8(row.get("line")).expect("UTF-8"),
        };
        rows.iter().map(event).collect()
    }

    /// What the whole installation holds.
    pub async fn holdings(&self) -> Holdings {
        let row = sqlx::query(
            "SELECT (SELECT coalesce(sum(head), 0)::bigint FROM spaces) AS heads,
                    (SELECT count(*) FROM segments) AS segments,
                    (SELECT coalesce(sum(last_sequence), 0)::bigint FROM devices) AS watermarks,
                    (SELECT count(*) FROM quarantine) AS quarantined,
                    (SELECT count(*) FROM quarantined_messages) AS quarantined_messages",
        );
        let row = row.fetch_one(&self.pool).await.expect("counts");
        Holdings {
            heads: row.get("heads"),
            segments: row.get("segments"),
            watermarks: row.get("watermarks"),
            quarantined: row.get("quarantined"),
            quarantined_messages: row.get("quarantined_messages"),
        }
    }
}
