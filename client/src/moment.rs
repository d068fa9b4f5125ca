//! Time as a device knows it: a wall clock that may lie, and a monotonic clock that counts since the boot.

use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Which run of the device's monotonic clock: two monotonic times compare only within one boot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BootId(pub Arc<str>);

/// A reading of the device's clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// What the wall clock says: UTC milliseconds since 1970. The user can set it to anything.
    pub wall_ms: i64,
    /// Milliseconds since the boot, time asleep included.
    pub monotonic_ms: i64,
    /// The boot.
    pub boot: BootId,
}

impl Moment {
    /// Milliseconds from `earlier` to this, by the monotonic clock; `None` across a reboot.
    pub fn since(&self, earlier: &Self) -> Option<i64> {
        (self.boot == earlier.boot).then(|| self.monotonic_ms.saturating_sub(earlier.monotonic_ms))
    }
}

/// Where moments come from. Time is an argument everywhere, so that tests and simulations have their own.
pub trait Clock: Send + Sync + 'static {
    /// The moment that is now.
    fn now(&self) -> Moment;
}

/// The clocks of the device that this process runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the device's wall clock is read here and nowhere else")]
    fn now(&self) -> Moment {
        let wall_ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => after.as_millis() as i64,
            Err(before) => -(before.duration().as_millis() as i64),
        };
        Moment { wall_ms, monotonic_ms: system::monotonic_ms(), boot: BOOT.clone() }
    }
}

static BOOT: LazyLock<BootId> = LazyLock::new(system::boot);

/// Counts while the device sleeps, and from its boot: what two processes of one boot measure compares.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    use super::BootId;

    pub(super) fn monotonic_ms() -> i64 {
        let time = clock_gettime(ClockId::Boottime);
        time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    pub(super) fn boot() -> BootId {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        BootId(id.map_or_else(|_| uuid::Uuid::new_v4().to_string().into(), |id| id.trim().into()))
    }
}

/// No id of the boot can be had without `unsafe`, so each process counts as a boot of its own.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::sync::LazyLock;
    use std::time::Instant;

    use super::BootId;

    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

    pub(super) fn monotonic_ms() -> i64 {
        STARTED.elapsed().as_millis() as i64
    }

    pub(super) fn boot() -> BootId {
        BootId(uuid::Uuid::new_v4().to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_one_boot_follow_each_other_and_moments_of_two_do_not_compare() {
        let (first, then) = (SystemClock.now(), SystemClock.now());
        assert!(then.since(&first).is_some_and(|passed_ms| passed_ms >= 0), "{first:?} {then:?}");
        let after_reboot = Moment { boot: BootId("another".into()), ..then };
        assert_eq!(after_reboot.since(&first), None);
    }
}
