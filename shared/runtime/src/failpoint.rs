//! Failpoints: named places at which a test ends a real service as SIGKILL would, between two steps that no
//! transaction holds together. Release builds have none.
//!
//! `TIDELOG_FAILPOINT=<name>` arms one, `<name>:<n>` at its n-th passing. A supervisor restarts what ended with the
//! same environment: with `TIDELOG_FAILPOINT_MARKER=<file>` the point fires only if it can create that file, so once.
//! This is no configuration, which services get as arguments: nobody who runs Tidelog can set it, and a point that
//! had to be handed to each place would change the code that it is there to test.

use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

const POINT_VARIABLE: &str = "TIDELOG_FAILPOINT";
const MARKER_VARIABLE: &str = "TIDELOG_FAILPOINT_MARKER";

/// A place to end at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failpoint {
    /// The broker has acknowledged a batch; nobody has been answered.
    GatewayAfterPublish,
    /// A round is written, and its transaction open.
    IngestBeforeCommit,
    /// A round is committed; no receipt has been sent.
    IngestAfterCommit,
    /// The round's receipts are with the broker; none of its segments is in LOG.
    IngestAfterReceipts,
    /// LOG has a segment of the round, or did not take it; none of its messages is acknowledged.
    IngestAfterLog,
    /// A command is carried out; its sender does not know, and it is not acknowledged.
    IngestAfterCommand,
    /// Segments are folded, and their transaction open.
    ProjectorBeforeCommit,
    /// A fold is committed; its messages are not acknowledged.
    ProjectorAfterCommit,
    /// Segments are merged, and their transaction open.
    CompactorBeforeMerge,
    /// A part of a snapshot is written.
    CompactorAfterPart,
    /// A snapshot is written; it is not verified.
    CompactorAfterSnapshot,
    /// A snapshot is verified; nothing is archived.
    CompactorAfterVerify,
    /// An object of the archive is written; it is not listed.
    CompactorAfterArchive,
    /// A space is pruned, and its transaction open.
    CompactorBeforePrune,
    /// A space is pruned; what is left over from before is still there.
    CompactorAfterPrune,
}

impl Failpoint {
    /// Every failpoint.
    pub const ALL: [Self; 15] = [
        Self::GatewayAfterPublish,
        Self::IngestBeforeCommit,
        Self::IngestAfterCommit,
        Self::IngestAfterReceipts,
        Self::IngestAfterLog,
        Self::IngestAfterCommand,
        Self::ProjectorBeforeCommit,
        Self::ProjectorAfterCommit,
        Self::CompactorBeforeMerge,
        Self::CompactorAfterPart,
        Self::CompactorAfterSnapshot,
        Self::CompactorAfterVerify,
        Self::CompactorAfterArchive,
        Self::CompactorBeforePrune,
        Self::CompactorAfterPrune,
    ];

    /// Its name in `TIDELOG_FAILPOINT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GatewayAfterPublish => "gateway-after-publish",
            Self::IngestBeforeCommit => "ingest-before-commit",
            Self::IngestAfterCommit => "ingest-after-commit",
            Self::IngestAfterReceipts => "ingest-after-receipts",
            Self::IngestAfterLog => "ingest-after-log",
            Self::IngestAfterCommand => "ingest-after-command",
            Self::ProjectorBeforeCommit => "projector-before-commit",
            Self::ProjectorAfterCommit => "projector-after-commit",
            Self::CompactorBeforeMerge => "compactor-before-merge",
            Self::CompactorAfterPart => "compactor-after-part",
            Self::CompactorAfterSnapshot => "compactor-after-snapshot",
            Self::CompactorAfterVerify => "compactor-after-verify",
            Self::CompactorAfterArchive => "compactor-after-archive",
            Self::CompactorBeforePrune => "compactor-before-prune",
            Self::CompactorAfterPrune => "compactor-after-prune",
        }
    }
}

/// Passes `point`, and does not return if the environment says that this passing ends the process: nothing is
/// flushed, nothing unwound.
pub fn reach(point: Failpoint) {
    let Some(armed) = armed(point) else { return };
    if armed.ends_here() {
        eprintln!("failpoint {} reached; aborting", point.name());
        std::process::abort();
    }
    armed.passed.add_permits(1);
}

/// Whether `point` may still end this process: what must have left it by then has to be flushed.
pub fn is_armed(point: Failpoint) -> bool {
    armed(point).is_some_and(Arming::is_pending)
}

/// Waits, while `point` is armed, until it was passed once for each call: a task that goes on behind a point which
/// another task passes, and which may end the process there. To be called when that passing is certain to come.
pub async fn hold(point: Failpoint) {
    let Some(armed) = armed(point).filter(|armed| armed.is_pending()) else { return };
    if let Ok(passing) = armed.passed.acquire().await {
        passing.forget();
    }
}

/// What the environment arms, if it is this point. In release builds nothing is, and the compiler drops the callers'
/// code with it.
fn armed(point: Failpoint) -> Option<&'static Arming> {
    static ARMED: OnceLock<Option<Arming>> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return None;
    }
    ARMED.get_or_init(from_environment).as_ref().filter(|armed| armed.point == point)
}

fn from_environment() -> Option<Arming> {
    let named = std::env::var_os(POINT_VARIABLE).filter(|named| !named.is_empty())?;
    let marker = std::env::var_os(MARKER_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    match Arming::parse(&named, marker) {
        Ok(arming) => Some(arming),
        Err(error) => {
            tracing::error!(%error, "{POINT_VARIABLE} arms nothing");
            None
        }
    }
}

/// Why `TIDELOG_FAILPOINT` cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum UnknownFailpoint {
    #[error("there is no failpoint {name:?}; there are {}", Failpoint::ALL.map(Failpoint::name).join(", "))]
    Name { name: String },
    #[error("{passing:?} counts no passings: write a number from 1")]
    Passing { passing: String },
}

/// A point that is armed.
#[derive(Debug)]
struct Arming {
    point: Failpoint,
    /// The passing that ends the process, from 1.
    ends_at: usize,
    marker: Option<PathBuf>,
    reached: AtomicUsize,
    /// A permit for each passing that was survived and not yet held for.
    passed: Semaphore,
}

impl Arming {
    fn parse(named: &OsStr, marker: Option<PathBuf>) -> Result<Self, UnknownFailpoint> {
        let named = named.to_string_lossy();
        let (name, passing) = named.split_once(':').unwrap_or((&named, "1"));
        let point = Failpoint::ALL.into_iter().find(|point| point.name() == name);
        let ends_at = passing.parse().ok().filter(|passing| *passing > 0);
        Ok(Self {
            point: point.ok_or_else(|| UnknownFailpoint::Name { name: name.to_owned() })?,
            ends_at: ends_at.ok_or_else(|| UnknownFailpoint::Passing { passing: passing.to_owned() })?,
            marker,
            reached: AtomicUsize::new(0),
            passed: Semaphore::new(0),
        })
    }

    /// Counts a passing, and takes the marker if it is the one.
    fn ends_here(&self) -> bool {
        let passing = self.reached.fetch_add(1, Ordering::Relaxed) + 1;
        passing == self.ends_at && self.marker.as_deref().is_none_or(take)
    }

    fn is_pending(&self) -> bool {
        self.reached.load(Ordering::Relaxed) < self.ends_at
            && self.marker.as_ref().is_none_or(|marker| !marker.exists())
    }
}

/// Creates the marker; false where it is there already.
fn take(marker: &Path) -> bool {
    match File::create_new(marker) {
        Ok(_) => true,
        Err(error) => {
            if error.kind() != ErrorKind::AlreadyExists {
                tracing::error!(%error, marker = %marker.display(), "{MARKER_VARIABLE} cannot be created");
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(named: &str) -> Result<(Failpoint, usize), UnknownFailpoint> {
        Arming::parse(OsStr::new(named), None).map(|arming| (arming.point, arming.ends_at))
    }

    fn arming(named: &str, marker: Option<PathBuf>) -> Arming {
        Arming::parse(OsStr::new(named), marker).unwrap()
    }

    #[test]
    fn every_failpoint_is_armed_by_its_name_and_at_its_first_passing() {
        for point in Failpoint::ALL {
            assert_eq!(parse(point.name()), Ok((point, 1)));
            assert_eq!(parse(&format!("{}:12", point.name())), Ok((point, 12)));
        }
    }

    #[test]
    fn what_arms_nothing_is_an_error() {
        for named in ["ingest", "Ingest-After-Commit", "ingest-after-commit ", ":1"] {
            assert!(matches!(parse(named), Err(UnknownFailpoint::Name { .. })), "{named:?}");
        }
        for passing in ["", "0", "-1", "one", "1:1"] {
            let named = format!("ingest-after-commit:{passing}");
            assert!(matches!(parse(&named), Err(UnknownFailpoint::Passing { .. })), "{named:?}");
        }
    }

    #[test]
    fn a_point_ends_the_process_at_the_passing_that_was_asked_for() {
        let armed = arming("ingest-after-commit:3", None);
        assert_eq!([(); 4].map(|()| armed.ends_here()), [false, false, true, false]);
    }

    #[test]
    fn with_a_marker_a_point_ends_one_process_once() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("marker");
        let armed = || arming("ingest-after-commit", Some(marker.clone()));
        let (first, replica) = (armed(), armed());
        assert!(first.is_pending() && replica.is_pending());
        assert!(first.ends_here());
        assert!(marker.exists());
        let restarted = armed();
        for other in [replica, restarted] {
            assert!(!other.is_pending());
            assert!(!other.ends_here());
        }
    }

    #[test]
    fn a_marker_that_cannot_be_created_ends_no_process() {
        let folder = tempfile::tempdir().unwrap();
        let armed = arming("ingest-after-commit", Some(folder.path().join("missing/marker")));
        assert!(!armed.ends_here());
    }

    #[tokio::test]
    async fn where_nothing_is_armed_nobody_is_held_up() {
        reach(Failpoint::IngestAfterLog);
        hold(Failpoint::IngestAfterLog).await;
        assert!(!is_armed(Failpoint::IngestAfterLog));
    }
}
