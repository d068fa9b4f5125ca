//! The events of a phone that records workouts: the mix, the shapes and the sizes of real recordings (25,601 events
//! of watches and bike computers), with fresh random ids.

use std::io::Write;

use fastrand::Rng;
use tidelog_events::stamp::Stamp;
use uuid::Uuid;

/// Events of one workout, as recorded on average.
const EVENTS: u32 = 2327;
/// Of 25,601 recorded events 584 tell the duration and 137 a lap; all others within a workout are track points.
const DURATION_EVERY: u32 = 43;
const LAP_EVERY: u32 = 187;
/// When the first event happened (2017-06-13); each comes about a second behind the one before it.
const START_MS: i64 = 1_497_361_350_000;
const RECORDERS: [&str; 5] =
    ["garmin-edge520", "garmin-fr735xt", "garmin-vivo-active", "stryd-pod", "zwift-trainer"];

/// What a track point's sensors say, in thousandths of a recording; the rest says nothing.
const ALL_SENSORS: u32 = 387;
const WITHOUT_POWER: u32 = 275;
const HEART_AND_POWER: u32 = 89;
const HEART_AND_DISTANCE: u32 = 64;

/// Writes one event after the other, for ever.
#[derive(Debug)]
pub(super) struct Recorder {
    rng: Rng,
    sequence: u64,
    now_ms: i64,
    entity: String,
    /// Events of each workout.
    events: u32,
    /// Events of the present workout.
    recorded: u32,
    started_ms: i64,
    distance_cm: u64,
}

impl Recorder {
    /// The same seed, the same events.
    pub(super) fn new(seed: u64) -> Self {
        Self::of_workouts(seed, EVENTS)
    }

    /// A recorder of workouts of so many events.
    pub(super) fn of_workouts(seed: u64, events: u32) -> Self {
        let rng = Rng::with_seed(seed);
        Self {
            rng,
            sequence: 0,
            now_ms: START_MS,
            entity: String::new(),
            events,
            recorded: 0,
            started_ms: 0,
            distance_cm: 0,
        }
    }

    /// The sequence of the last event.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Appends the next event's line; returns its id.
    pub(super) fn record(&mut self, lines: &mut Vec<u8>) -> Uuid {
        if self.recorded == 0 {
            self.begin_workout();
        }
        self.sequence += 1;
        self.recorded += 1;
        self.now_ms += self.rng.i64(900..1100);
        let id = uuid::Builder::from_random_bytes(self.rng.u128(..).to_le_bytes()).into_uuid();
        let event_type = self.event_type();
        self.open(lines, id, event_type);
        match event_type {
            "WORKOUT_CREATED" => write(
                lines,
                format_args!(
                    r#"{{"name":"Morning ride","sport":"cycling","tags":{{"add":["cycling","garmin"]}}}}"#
                ),
            ),
            "WORKOUT_DURATION_UPDATED" => {
                write(lines, format_args!(r#"{{"duration":{}}}"#, (self.now_ms - self.started_ms) / 1000));
            }
            "LAP_RECORDED" => write(lines, format_args!(r#"{{"laps":1}}"#)),
            "WORKOUT_COMPLETED" => {
                write(lines, format_args!(r#"{{"calories":{}}}"#, self.rng.u32(200..2000)));
            }
            _ => self.track_point(lines),
        }
        lines.extend_from_slice(b"}\n");
        if self.recorded == self.events {
            self.recorded = 0;
        }
        id
    }

    fn begin_workout(&mut self) {
        let recorder = RECORDERS[self.rng.usize(..RECORDERS.len())];
        self.entity = format!("w-{recorder}-{}-{:08x}", self.now_ms / 1000, self.rng.u32(..));
        (self.started_ms, self.distance_cm) = (self.now_ms, 0);
    }

    fn event_type(&self) -> &'static str {
        match self.recorded {
            1 => "WORKOUT_CREATED",
            nth if nth == self.events => "WORKOUT_COMPLETED",
            nth if nth.is_multiple_of(LAP_EVERY) => "LAP_RECORDED",
            nth if nth.is_multiple_of(DURATION_EVERY) => "WORKOUT_DURATION_UPDATED",
            _ => "TRACK_POINT_RECORDED",
        }
    }

    fn open(&self, lines: &mut Vec<u8>, id: Uuid, event_type: &str) {
        let stamp = Stamp::from_millis(self.now_ms).unwrap_or(Stamp::MIN);
        write(
            lines,
            format_args!(
                r#"{{"eventId":"{id}","deviceSequence":{},"type":"{event_type}","entityId":"{}","timestamp":"{stamp}","lastSeenEventId":null,"payload":"#,
                self.sequence, self.entity,
            ),
        );
    }

    fn track_point(&mut self, lines: &mut Vec<u8>) {
        let speed_mm = self.rng.u64(4000..12_000);
        self.distance_cm += speed_mm / 10;
        let (metres, centimetres) = (self.distance_cm / 100, self.distance_cm % 100);
        let (heart_rate, power) = (self.rng.u32(110..185), self.rng.u32(90..420));
        let (whole, thousandths) = (speed_mm / 1000, speed_mm % 1000);
        let sensors = self.rng.u32(..1000);
        if sensors < ALL_SENSORS {
            write(
                lines,
                format_args!(
                    r#"{{"points":1,"distance":{metres}.{centimetres:02},"maxHeartRate":{heart_rate},"maxSpeed":{whole}.{thousandths:03},"maxPower":{power}}}"#
                ),
            );
        } else if sensors < ALL_SENSORS + WITHOUT_POWER {
            write(
                lines,
                format_args!(
                    r#"{{"points":1,"distance":{metres}.{centimetres:02},"maxHeartRate":{heart_rate},"maxSpeed":{whole}.{thousandths:03}}}"#
                ),
            );
        } else if sensors < ALL_SENSORS + WITHOUT_POWER + HEART_AND_POWER {
            write(lines, format_args!(r#"{{"points":1,"maxHeartRate":{heart_rate},"maxPower":{power}}}"#));
        } else if sensors < ALL_SENSORS + WITHOUT_POWER + HEART_AND_POWER + HEART_AND_DISTANCE {
            write(
                lines,
                format_args!(
                    r#"{{"points":1,"distance":{metres}.{centimetres:02},"maxHeartRate":{heart_rate}}}"#
                ),
            );
        } else {
            write(lines, format_args!(r#"{{"points":1}}"#));
        }
    }
}

/// Appends text; a `Vec` takes every write.
fn write(lines: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let written = lines.write_fmt(text);
    debug_assert!(written.is_ok(), "memory takes every write");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tidelog_events::event::judge;
    use tidelog_events::schema::Schema;

    use super::*;

    #[test]
    fn every_event_is_good_numbered_and_of_the_recorded_mix_and_size() {
        let schema = Schema::parse(include_str!("../../../config/fitness.yaml")).unwrap();
        let mut recorder = Recorder::new(7);
        let mut lines = Vec::new();
        let ids: std::collections::BTreeSet<_> = (0..25_601).map(|_| recorder.record(&mut lines)).collect();
        assert_eq!((ids.len(), recorder.sequence()), (25_601, 25_601));
        let mut types = BTreeMap::<String, u32>::new();
        let text = std::str::from_utf8(&lines).unwrap();
        for (line, sequence) in text.lines().zip(1..) {
            let judged = judge(line, &schema).unwrap();
            assert_eq!(judged.finding, None, "{line}");
            assert_eq!(judged.device_sequence.unwrap().0, sequence);
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            *types.entry(event["type"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        assert_eq!(types["WORKOUT_CREATED"], 12);
        assert_eq!(types["WORKOUT_COMPLETED"], 11);
        assert!((120..150).contains(&types["LAP_RECORDED"]), "{types:?}");
        assert!((550..620).contains(&types["WORKOUT_DURATION_UPDATED"]), "{types:?}");
        let mean = text.len() / 25_601;
        assert!((280..=300).contains(&mean), "{mean} bytes");
    }
}
