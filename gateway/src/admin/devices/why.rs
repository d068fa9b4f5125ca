//! Why a phone does not sync, as one sentence that support reads at a glance. Pure.

use tidelog_events::protocol::UtcTime;
use tidelog_store::device_profiles::DeviceProfile;
use tidelog_store::devices::facts::{Device, Refused};

const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A device that was not heard of for longer is silent.
const SILENT_MS: u64 = DAY_MS;
/// A clock that is further off is worth a word; as far ahead, pushes are refused until the device has stamped anew.
const CLOCK_OFF_MS: u64 = MINUTE_MS;

/// What keeps the device from syncing, the gravest reason first; `None` when all is well.
pub(super) fn why(device: &Device, profile: &DeviceProfile, now: UtcTime) -> Option<String> {
    revoked(profile)
        .or_else(|| silent(device, now))
        .or_else(|| refused(device))
        .or_else(|| failing(device))
        .or_else(|| diverged(device))
        .or_else(|| clock_off(device))
}

fn revoked(profile: &DeviceProfile) -> Option<String> {
    let by = profile.revoked_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let at = profile.revoked_at.map(|at| format!(" at {at}")).unwrap_or_default();
    profile.revoked.then(|| format!("it was revoked{by}{at}"))
}

fn silent(device: &Device, now: UtcTime) -> Option<String> {
    let silence_ms = u64::try_from(now.0 - device.last_seen_at.0).ok().filter(|ms| *ms >= SILENT_MS)?;
    let pending =
        device.report.as_ref().and_then(|(_, report)| report.pending).filter(|pending| *pending > 0);
    let pending =
        pending.map(|pending| format!(", and had {pending} events to push then")).unwrap_or_default();
    Some(format!("it has not been heard of for {}{pending}", span(silence_ms)))
}

/// The latest refusal, if nothing new was taken since.
pub(super) fn standing_refusal(device: &Device) -> Option<&Refused> {
    device.refusal.as_ref().filter(|refusal| device.pushed_at.is_none_or(|pushed_at| pushed_at < refusal.at))
}

fn refused(device: &Device) -> Option<String> {
    let Refused { code, detail, at } = standing_refusal(device)?;
    Some(format!("its last push was refused at {at}: {code}: {detail}"))
}

fn failing(device: &Device) -> Option<String> {
    let (at, report) = device.report.as_ref()?;
    let error = report.last_error.as_ref()?;
    Some(format!("it said at {at} that its last sync failed: {error}"))
}

fn diverged(device: &Device) -> Option<String> {
    let (position, since) = device.diverged?;
    let seen = "its state was found to differ from the server's";
    Some(format!("{seen} at {since}, last at position {position}: a defect"))
}

fn clock_off(device: &Device) -> Option<String> {
    let offset_ms = device.report.as_ref()?.1.clock_offset_ms?;
    let off_ms = offset_ms.unsigned_abs();
    let direction = if offset_ms > 0 { "ahead" } else { "behind" };
    (off_ms > CLOCK_OFF_MS).then(|| format!("its clock is {} {direction}", span(off_ms)))
}

/// A duration in its largest whole unit.
fn span(ms: u64) -> String {
    let units = [(DAY_MS, "days"), (HOUR_MS, "h"), (MINUTE_MS, "min")];
    let largest = units.into_iter().find(|(unit_ms, _)| ms >= 2 * unit_ms);
    let (unit_ms, name) = largest.unwrap_or((SECOND_MS, "s"));
    format!("{} {name}", ms / unit_ms)
}

#[cfg(test)]
mod tests {
    use tidelog_events::id::{DeviceId, EventId, Position, Sequence, SpaceId, UserId};
    use tidelog_events::report::DeviceReport;
    use uuid::Uuid;

    use super::*;

    const NOW: UtcTime = UtcTime(1_767_225_600_000);

    fn well() -> Device {
        Device {
            space: SpaceId::new("ann").unwrap(),
            device: DeviceId::new("phone-1").unwrap(),
            user: UserId::new("ann").unwrap(),
            last_sequence: Sequence(9),
            last_event_id: EventId(Uuid::nil()),
            head: Position(9),
            cursor: Position(9),
            last_seen_at: NOW,
            pushed_at: Some(NOW),
            app_version: None,
            report: None,
            diverged: None,
            refusal: None,
            gaps: 0,
            forks: 0,
        }
    }

    fn ago(ms: u64) -> UtcTime {
        UtcTime(NOW.0 - ms.cast_signed())
    }

    fn reporting(report: DeviceReport) -> Device {
        Device { report: Some((NOW, report)), ..well() }
    }

    fn refused_at(at: UtcTime) -> Refused {
        Refused { code: "device-forked".to_owned(), detail: "cloned".to_owned(), at }
    }

    #[test]
    fn one_sentence_says_why_a_device_does_not_sync() {
        let check = |device: &Device, expect: Option<&str>| {
            assert_eq!(why(device, &DeviceProfile::default(), NOW).as_deref(), expect);
        };
        check(&well(), None);
        check(&Device { last_seen_at: ago(23 * HOUR_MS), ..well() }, None);
        check(
            &Device { last_seen_at: ago(12 * DAY_MS + HOUR_MS), ..well() },
            Some("it has not been heard of for 12 days"),
        );
        let pending = DeviceReport { pending: Some(5), ..DeviceReport::default() };
        check(
            &Device { last_seen_at: ago(30 * HOUR_MS), ..reporting(pending.clone()) },
            Some("it has not been heard of for 30 h, and had 5 events to push then"),
        );
        check(&reporting(pending), None);
        check(
            &Device { refusal: Some(refused_at(NOW)), pushed_at: Some(ago(1)), ..well() },
            Some("its last push was refused at 2026-01-01T00:00:00.000Z: device-forked: cloned"),
        );
        check(&Device { refusal: Some(refused_at(ago(1))), ..well() }, None);
        let error =
            DeviceReport { last_error: Some("offline: no route".to_owned()), ..DeviceReport::default() };
        check(
            &reporting(error),
            Some("it said at 2026-01-01T00:00:00.000Z that its last sync failed: offline: no route"),
        );
        let clock = |offset_ms| DeviceReport { clock_offset_ms: Some(offset_ms), ..DeviceReport::default() };
        check(&reporting(clock(3 * 3_600_000 + 1)), Some("its clock is 3 h ahead"));
        check(&reporting(clock(-90_000)), Some("its clock is 90 s behind"));
        check(&reporting(clock(60_000)), None);
        check(
            &Device { diverged: Some((Position(7), NOW)), ..well() },
            Some(
                "its state was found to differ from the server's at 2026-01-01T00:00:00.000Z, last at position 7: \
                 a defect",
            ),
        );
    }

    #[test]
    fn that_a_device_is_revoked_comes_before_everything_else() {
        let device = Device { last_seen_at: ago(12 * DAY_MS), refusal: Some(refused_at(NOW)), ..well() };
        let by = UserId::new("support").ok();
        let profile = DeviceProfile {
            revoked: true,
            revoked_at: Some(NOW),
            revoked_by: by,
            ..DeviceProfile::default()
        };
        let expect = "it was revoked by support at 2026-01-01T00:00:00.000Z";
        assert_eq!(why(&device, &profile, NOW).as_deref(), Some(expect));
        let restored = DeviceProfile { revoked: false, ..profile };
        assert_eq!(why(&device, &restored, NOW).as_deref(), Some("it has not been heard of for 12 days"));
    }
}
