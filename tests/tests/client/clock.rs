//! A clock that stands still unless a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tidelog_client::{BootId, Clock, Moment, SystemClock};

/// A clock that a test sets.
#[derive(Clone)]
pub struct SetClock {
    wall_ms: Arc<AtomicI64>,
    monotonic_ms: Arc<AtomicI64>,
}

impl SetClock {
    /// One whose wall clock is right.
    pub fn right() -> Self {
        let Moment { wall_ms, .. } = SystemClock.now();
        Self { wall_ms: Arc::new(wall_ms.into()), monotonic_ms: Arc::new(0.into()) }
    }

    /// Time passes.
    pub fn advance(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap();
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
        self.monotonic_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// The user turns the wall clock.
    pub fn turn(&self, by_days: i64) {
        self.wall_ms.fetch_add(by_days * 86_400_000, Ordering::Relaxed);
    }

    pub fn wall_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::Relaxed)
    }
}

impl Clock for SetClock {
    fn now(&self) -> Moment {
        Moment {
            wall_ms: self.wall_ms(),
            monotonic_ms: self.monotonic_ms.load(Ordering::Relaxed),
            boot: BootId("boot-1".into()),
        }
    }
}
