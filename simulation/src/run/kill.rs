//! Kills an app between two storage steps: from some commit on, nothing more reaches its file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crate::plan::Kill;

/// Nothing is planned.
const NEVER: u32 = u32::MAX;

/// Stands between a store and its file.
#[derive(Debug, Clone)]
pub(super) struct Killer(Arc<Trigger>);

#[derive(Debug)]
struct Trigger {
    commits_left: AtomicU32,
    dies_within_next: AtomicBool,
    is_dead: AtomicBool,
}

impl Default for Killer {
    fn default() -> Self {
        Self(Arc::new(Trigger {
            commits_left: AtomicU32::new(NEVER),
            dies_within_next: AtomicBool::new(false),
            is_dead: AtomicBool::new(false),
        }))
    }
}

impl Killer {
    /// Plans a kill.
    pub(super) fn arm(&self, kill: Kill) {
        self.0.commits_left.store(kill.commits, Relaxed);
        self.0.dies_within_next.store(kill.dies_within_next, Relaxed);
    }

    /// Whether the app is dead: what it says from now on, it never said.
    pub(super) fn is_dead(&self) -> bool {
        self.0.is_dead.load(Relaxed)
    }

    /// SQLite is about to commit. True: it must roll back, since the app is dead.
    pub(super) fn stops_commit(&self) -> bool {
        if self.is_dead() {
            return true;
        }
        match self.0.commits_left.load(Relaxed) {
            NEVER => false,
            0 => {
                self.0.is_dead.store(true, Relaxed);
                true
            }
            left => {
                self.0.commits_left.store(left - 1, Relaxed);
                let dies_now = left == 1 && !self.0.dies_within_next.load(Relaxed);
                self.0.is_dead.store(dies_now, Relaxed);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(commits: u32, dies_within_next: bool) -> [(bool, bool); 3] {
        let killer = Killer::default();
        killer.arm(Kill { commits, dies_within_next });
        [(); 3].map(|()| (killer.stops_commit(), killer.is_dead()))
    }

    #[test]
    fn a_file_gets_so_many_commits_and_no_more() {
        assert_eq!(stops(2, false), [(false, false), (false, true), (true, true)]);
        assert_eq!(stops(2, true), [(false, false), (false, false), (true, true)]);
        assert_eq!(stops(0, true), [(true, true), (true, true), (true, true)]);
        assert!(!Killer::default().stops_commit());
    }
}
