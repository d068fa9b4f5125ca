//! Which of two servers is the primary when the stack starts. Never both: a server that was one and is not chosen becomes
//! a standby before it is started.

use std::fmt;

use super::standing::Standing;
use crate::local::FoundMember;

/// Why none is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undecided {
    PrimaryLost,
    Unknown,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrimaryLost => "the primary's data is gone, and the standby had not all of it",
            Self::Unknown => "what says which PostgreSQL was the primary is gone, and both may be",
        })
    }
}

impl std::error::Error for Undecided {}

/// Chooses, by what was kept and what is on disk.
pub(super) fn choose(kept: Option<Standing>, found: [FoundMember; 2]) -> Result<usize, Undecided> {
    match (kept, found.map(|member| member.has_data)) {
        (_, [false, false]) => Ok(0),
        (Some(Standing { primary, .. }), has_data) if has_data[primary] => Ok(primary),
        (Some(Standing { primary, is_synchronous: true }), _) => Ok(1 - primary),
        (Some(_), _) => Err(Undecided::PrimaryLost),
        (None, [true, true]) => by_disk(found),
        (None, has_data) => {
            let only = usize::from(has_data[1]);
            if found[only].is_standby { Err(Undecided::PrimaryLost) } else { Ok(only) }
        }
    }
}

/// One that is no standby was the primary; of two, the one with the newer timeline took the place of the other.
fn by_disk([first, second]: [FoundMember; 2]) -> Result<usize, Undecided> {
    match (first.is_standby, second.is_standby) {
        (false, true) => Ok(0),
        (true, false) => Ok(1),
        (false, false) if first.timeline > second.timeline => Ok(0),
        (false, false) if first.timeline < second.timeline => Ok(1),
        _ => Err(Undecided::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: FoundMember = FoundMember { has_data: false, is_standby: false, timeline: 1 };
    const PRIMARY: FoundMember = FoundMember { has_data: true, is_standby: false, timeline: 1 };
    const STANDBY: FoundMember = FoundMember { has_data: true, is_standby: true, timeline: 1 };
    const PROMOTED: FoundMember = FoundMember { has_data: true, is_standby: false, timeline: 2 };

    const fn kept(primary: usize, is_synchronous: bool) -> Standing {
        Standing { primary, is_synchronous }
    }

    #[test]
    fn there_is_one_primary_and_it_has_all_that_was_acknowledged() {
        assert_eq!(choose(None, [NONE, NONE]), Ok(0));
        let check = |kept: Standing, found, expect| {
            assert_eq!(choose(Some(kept), found), expect, "{kept:?} {found:?}");
        };
        check(kept(0, true), [PRIMARY, STANDBY], Ok(0));
        check(kept(1, true), [STANDBY, PROMOTED], Ok(1));
        // Killed between the decision and the promotion, and behind it.
        check(kept(1, false), [PRIMARY, STANDBY], Ok(1));
        check(kept(1, false), [PRIMARY, PROMOTED], Ok(1));
        // The other one takes the place of data that is gone only if it has all.
        check(kept(0, true), [NONE, STANDBY], Ok(1));
        check(kept(0, false), [NONE, STANDBY], Err(Undecided::PrimaryLost));
    }

    #[test]
    fn what_was_not_kept_the_disks_tell_or_nobody_knows() {
        let check = |found, expect| assert_eq!(choose(None, found), expect, "{found:?}");
        check([PRIMARY, STANDBY], Ok(0));
        check([STANDBY, PROMOTED], Ok(1));
        check([PRIMARY, PROMOTED], Ok(1));
        check([PROMOTED, PRIMARY], Ok(0));
        check([PRIMARY, NONE], Ok(0));
        check([NONE, STANDBY], Err(Undecided::PrimaryLost));
        check([PRIMARY, PRIMARY], Err(Undecided::Unknown));
        check([STANDBY, STANDBY], Err(Undecided::Unknown));
    }
}
