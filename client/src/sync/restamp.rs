//! Corrects the stamps of pending events once the server's time is known. Pure.
//!
//! A device's wall clock may lie; its monotonic clock only stops with the device. So for what was recorded since the
//! boot, the server's time less the time that has passed since says when. For what was recorded before, the wall
//! clock is believed as far as it lies between the event before and the server's time.

use tidelog_events::clock::HybridClock;
use tidelog_events::id::Sequence;
use tidelog_events::protocol::UtcTime;
use tidelog_events::stamp::Stamp;

use crate::moment::{BootId, Moment};

/// A clock that is less than this wrong is right.
const TOLERANCE_MS: i64 = 2000;
/// How far ahead of the server's time a stamp may be: the gateway's default.
const MAX_CLOCK_AHEAD_MS: u64 = 60_000;

/// A pending event's time, as it was recorded.
#[derive(Debug, Clone)]
pub struct RecordedAt {
    /// Which event.
    pub sequence: Sequence,
    /// Its stamp.
    pub stamp: Stamp,
    /// The clocks when it was recorded.
    pub moment: Moment,
    /// The greatest stamp that the device had received by then.
    pub seen: Stamp,
}

/// The server's time, with the moment at which it held, give or take.
#[derive(Debug, Clone)]
pub struct ServerTime {
    /// UTC milliseconds since 1970.
    pub utc_ms: i64,
    /// The moment, by the device's clocks.
    pub at: Moment,
    /// How far the moment may be off, in milliseconds: half the time between question and answer.
    pub uncertainty_ms: i64,
}

impl ServerTime {
    /// A time that the server told between these two moments; `None` when the device was booted in between.
    pub fn told(utc_ms: i64, sent: &Moment, received: &Moment) -> Option<Self> {
        let uncertainty_ms = received.since(sent)?.max(0) / 2;
        let at = Moment { monotonic_ms: sent.monotonic_ms + uncertainty_ms, ..received.clone() };
        Some(Self { utc_ms, at, uncertainty_ms })
    }

    /// What it is there at a later moment; `None` when the device was booted in between.
    pub fn later(&self, now: &Moment) -> Option<i64> {
        Some(self.utc_ms + now.since(&self.at)?.max(0))
    }

    /// By how much the device's wall clock is ahead of it; negative: behind.
    pub fn ahead_ms(&self) -> i64 {
        self.at.wall_ms - self.uncertainty_ms - self.utc_ms
    }

    fn when(&self, boot: &BootId, monotonic_ms: i64) -> Option<i64> {
        (*boot == self.at.boot).then(|| self.utc_ms - (self.at.monotonic_ms - monotonic_ms))
    }
}

/// Which received stamps are believed: a device whose clock lies must not push the clocks of all others ahead.
#[derive(Debug, Clone, Copy)]
pub struct Believable {
    server_ms: i64,
}

impl Believable {
    /// By the server's time.
    pub fn at(server_time: UtcTime) -> Self {
        Self { server_ms: server_time.0 }
    }

    /// Whether the stamp is not further ahead than the server takes.
    pub fn is(self, stamp: Stamp) -> bool {
        HybridClock::default().merge(stamp, self.server_ms, MAX_CLOCK_AHEAD_MS)
    }

    /// The greater of the two, if the received one is believable.
    pub fn greater(self, greatest: Stamp, received: Stamp) -> Stamp {
        let mut clock = HybridClock::restarting_at(greatest);
        clock.merge(received, self.server_ms, MAX_CLOCK_AHEAD_MS);
        clock.greatest()
    }
}

/// What an event's time must become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Correction {
    /// Which event.
    pub sequence: Sequence,
    /// Its stamp from now on.
    pub stamp: Stamp,
    /// The wall time that it should have had, in UTC milliseconds since 1970.
    pub wall_ms: i64,
}

/// The corrections of `pending`, a device's events above its watermark by sequence. `before` is the stamp of the event
/// before the first. Corrected stamps increase strictly with the sequence, and stay later than what the device had
/// seen when it recorded them.
pub fn corrections(pending: &[RecordedAt], before: Stamp, server: &ServerTime) -> Vec<Correction> {
    let tolerance_ms = TOLERANCE_MS + server.uncertainty_ms;
    let mut corrections = Vec::new();
    // A stamp from the future is our own copy's: a life of this device that knew better has sent the event.
    let believable = Believable::at(UtcTime(server.utc_ms));
    let as_far_as_believable = |stamp| if believable.is(stamp) { stamp } else { Stamp::MIN };
    let mut previous = as_far_as_believable(before);
    // When the event before was recorded, in truth: nothing is known of the first one's.
    let mut previous_ms = i64::MIN;
    for event in pending {
        let wall_ms = event.moment.wall_ms;
        let truth_ms = match server.when(&event.moment.boot, event.moment.monotonic_ms) {
            Some(counted_ms) if (counted_ms - wall_ms).abs() <= tolerance_ms => wall_ms,
            Some(counted_ms) => counted_ms,
            None if wall_ms < previous_ms.saturating_sub(tolerance_ms) => previous_ms,
            None if wall_ms > server.utc_ms + tolerance_ms => server.utc_ms.max(previous_ms),
            None => wall_ms,
        };
        let floor = previous.max(as_far_as_believable(event.seen));
        let latest_ms = truth_ms.max(floor.millis()) + tolerance_ms;
        let right = truth_ms == wall_ms && event.stamp > previous && event.stamp.millis() <= latest_ms;
        previous = if right { event.stamp } else { later_than(floor, truth_ms) };
        if !right {
            corrections.push(Correction { sequence: event.sequence, stamp: previous, wall_ms: truth_ms });
        }
        previous_ms = previous_ms.max(truth_ms);
    }
    corrections
}

fn later_than(floor: Stamp, wall_ms: i64) -> Stamp {
    // The floor is below the server's time and its drift, far from the last stamp there is.
    HybridClock::restarting_at(floor).tick(wall_ms).unwrap_or(floor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_754_476_200_000;
    const YEAR: i64 = 365 * 86_400_000;

    fn moment(boot: &str, monotonic_ms: i64, wall_ms: i64) -> Moment {
        Moment { wall_ms, monotonic_ms, boot: BootId(boot.into()) }
    }

    fn event(sequence: u64, boot: &str, monotonic_ms: i64, wall_ms: i64) -> RecordedAt {
        RecordedAt {
            sequence: Sequence(sequence),
            stamp: Stamp::from_millis(wall_ms).unwrap(),
            moment: moment(boot, monotonic_ms, wall_ms),
            seen: Stamp::MIN,
        }
    }

    /// The server says noon at 100 s of boot `b`.
    fn check(pending: &[RecordedAt], expect: &[(u64, i64)]) {
        let server = ServerTime { utc_ms: NOON, at: moment("b", 100_000, 0), uncertainty_ms: 10 };
        let corrections = corrections(pending, Stamp::MIN, &server);
        let found: Vec<_> = corrections
            .iter()
            .map(|correction| (correction.sequence.0, correction.stamp.millis() - NOON))
            .collect();
        assert_eq!(found, expect, "{pending:?}");
    }

    #[test]
    fn a_clock_that_is_right_changes_nothing() {
        check(&[event(1, "b", 40_000, NOON - 60_000), event(2, "b", 90_000, NOON - 10_500)], &[]);
        check(&[event(1, "a", 9, NOON - YEAR), event(2, "b", 90_000, NOON - 10_000)], &[]);
    }

    #[test]
    fn within_a_boot_the_monotonic_clock_says_when() {
        check(&[event(1, "b", 40_000, NOON + YEAR), event(2, "b", 90_000, NOON - 10_000)], &[(1, -60_000)]);
        check(
            &[event(1, "b", 40_000, NOON - YEAR), event(2, "b", 50_000, NOON - YEAR + 10_000)],
            &[(1, -60_000), (2, -50_000)],
        );
    }

    #[test]
    fn before_the_boot_an_event_lies_between_its_predecessor_and_the_server() {
        check(&[event(1, "a", 5, NOON + YEAR)], &[(1, 0)]);
        check(
            &[event(1, "a", 5, NOON - 5000), event(2, "c", 5, NOON - YEAR), event(3, "a", 9, NOON)],
            &[(2, -5000)],
        );
    }

    #[test]
    fn a_stamp_that_only_a_lying_clock_had_pushed_ahead_comes_back() {
        // The wall clock was in 2099 before, and the hybrid clock stayed there.
        let mut pushed = event(2, "b", 90_000, NOON - 10_000);
        pushed.stamp = Stamp::new(NOON + YEAR, 1).unwrap();
        check(&[event(1, "b", 40_000, NOON + YEAR), pushed], &[(1, -60_000), (2, -10_000)]);
    }

    #[test]
    fn what_was_seen_stays_earlier_and_sequences_increase() {
        let mut late = event(1, "b", 40_000, NOON - YEAR);
        late.seen = Stamp::new(NOON + 30_000, 7).unwrap();
        let server = ServerTime { utc_ms: NOON, at: moment("b", 100_000, 0), uncertainty_ms: 0 };
        let pending = [late.clone(), event(2, "b", 40_000, NOON - YEAR)];
        let corrected = corrections(&pending, Stamp::MIN, &server);
        assert_eq!(corrected[0].stamp, Stamp::new(NOON + 30_000, 8).unwrap());
        assert_eq!(corrected[1].stamp, Stamp::new(NOON + 30_000, 9).unwrap());
    }

    #[test]
    fn a_predecessor_from_the_future_is_not_believed() {
        let server = ServerTime { utc_ms: NOON, at: moment("b", 100_000, 0), uncertainty_ms: 0 };
        let before = Stamp::from_millis(NOON + YEAR).unwrap();
        let corrected = corrections(&[event(15, "b", 90_000, NOON + YEAR)], before, &server);
        assert_eq!(corrected[0].stamp.millis(), NOON - 10_000);
    }

    #[test]
    fn correcting_what_was_corrected_changes_nothing() {
        let server = ServerTime { utc_ms: NOON, at: moment("b", 100_000, 0), uncertainty_ms: 0 };
        let mut pending: Vec<_> = (0..40)
            .map(|index| {
                let boot = ["a", "b", "c"][index % 3];
                event(index as u64 + 1, boot, index as i64 * 2000, NOON + (index as i64 % 7 - 3) * YEAR)
            })
            .collect();
        let first = corrections(&pending, Stamp::MIN, &server);
        assert!(first.len() > 10);
        for correction in first {
            let event = &mut pending[correction.sequence.0 as usize - 1];
            (event.stamp, event.moment.wall_ms) = (correction.stamp, correction.wall_ms);
        }
        assert!(pending.is_sorted_by(|one, next| one.stamp < next.stamp));
        let later = ServerTime { utc_ms: NOON + 900, at: moment("b", 100_800, 0), uncertainty_ms: 0 };
        assert_eq!(corrections(&pending, Stamp::MIN, &later), []);
    }
}
