//! What is done next about a pair, by what runs and what the standby has. Pure.

/// How a pair stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) primary: PrimaryState,
    pub(super) standby: StandbyState,
    /// The standby has every commit that was acknowledged, and each new one waits for it.
    pub(super) is_synchronous: bool,
    /// Commits may wait for a standby that has been given up.
    pub(super) must_release: bool,
}

/// What the primary does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PrimaryState {
    /// It runs, and the door leads to it.
    Serves,
    /// It runs, and the door leads to nobody.
    Closed,
    Ended,
}

/// What the standby does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StandbyState {
    Runs,
    Ended,
    /// It is being made a standby again.
    Joining,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// The standby becomes the primary.
    FailOver,
    /// The primary starts again where it is: the standby has not everything, or is gone as well.
    StartPrimary,
    /// The primary runs and nobody reaches it: what was to make it the primary failed, or took too long, and is done again.
    Open,
    /// Commits wait for the standby no longer.
    GoOnAlone,
    /// The same, after it was tried in vain.
    Release,
    /// The standby is started, or made anew, and followed until it has everything.
    Join,
}

/// Decides.
pub(super) fn next(moment: Moment) -> Step {
    use StandbyState::{Ended, Joining, Runs};
    match moment {
        Moment { primary: PrimaryState::Ended, standby: Runs, is_synchronous: true, .. } => Step::FailOver,
        Moment { primary: PrimaryState::Ended, .. } => Step::StartPrimary,
        Moment { primary: PrimaryState::Closed, .. } => Step::Open,
        // Before another standby joins, for which commits are to wait.
        Moment { must_release: true, .. } => Step::Release,
        Moment { standby: Ended, is_synchronous: true, .. } => Step::GoOnAlone,
        // One that runs and has not everything: what made it one did not come to its end.
        Moment { standby: Ended | Runs, is_synchronous: false, .. } => Step::Join,
        Moment { standby: Runs | Joining, .. } => Step::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::PrimaryState::{Closed, Serves};
    use super::StandbyState::{Ended, Joining, Runs};
    use super::*;

    /// With nothing to release.
    fn moment(primary: PrimaryState, standby: StandbyState, is_synchronous: bool) -> Moment {
        Moment { primary, standby, is_synchronous, must_release: false }
    }

    fn check(moment: Moment, expect: Step) {
        assert_eq!(next(moment), expect, "{moment:?}");
    }

    #[test]
    fn only_a_standby_that_has_everything_becomes_the_primary() {
        check(moment(Serves, Runs, true), Step::Nothing);
        check(moment(PrimaryState::Ended, Runs, true), Step::FailOver);
        check(moment(PrimaryState::Ended, Runs, false), Step::StartPrimary);
        check(moment(PrimaryState::Ended, Joining, false), Step::StartPrimary);
        check(moment(PrimaryState::Ended, Ended, false), Step::StartPrimary);
        check(moment(PrimaryState::Ended, Ended, true), Step::StartPrimary);
        check(moment(Serves, Ended, true), Step::GoOnAlone);
        check(moment(Serves, Ended, false), Step::Join);
        check(moment(Serves, Runs, false), Step::Join);
        check(moment(Serves, Joining, false), Step::Nothing);
    }

    #[test]
    fn a_primary_that_runs_behind_a_closed_door_is_opened_before_all_else() {
        for standby in [Runs, Ended, Joining] {
            for (is_synchronous, must_release) in [(false, false), (false, true), (true, false), (true, true)]
            {
                check(Moment { must_release, ..moment(Closed, standby, is_synchronous) }, Step::Open);
            }
        }
    }

    #[test]
    fn commits_are_released_from_a_lost_standby_before_another_joins() {
        for standby in [Runs, Ended, Joining] {
            check(Moment { must_release: true, ..moment(Serves, standby, false) }, Step::Release);
        }
        check(Moment { must_release: true, ..moment(PrimaryState::Ended, Ended, false) }, Step::StartPrimary);
    }
}
