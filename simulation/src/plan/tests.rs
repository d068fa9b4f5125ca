//! What a plan is: drawn from the seed alone, ordered, and with everything in it.

use std::collections::BTreeMap;

use super::*;

fn options(seed: u64, faults: FaultSet) -> Options {
    Options { seed, users: 3, devices: 3, events: 200, days: 40, faults }
}

#[test]
fn the_same_seed_gives_the_same_plan_and_another_seed_another() {
    let written = |seed| serde_json::to_string(&Plan::of(&options(seed, FaultSet::all()))).unwrap();
    assert_eq!(written(7), written(7));
    assert_ne!(written(7), written(8));
}

#[test]
fn a_plan_has_all_its_events_and_its_steps_in_order() {
    let plan = Plan::of(&options(3, FaultSet::all()));
    let steps = || plan.users.iter().flat_map(|user| &user.steps);
    assert_eq!(steps().filter(|step| matches!(step.action, Action::Record(_))).count(), 200);
    for user in &plan.users {
        assert!(user.steps.is_sorted_by_key(|step| step.at_ms));
        assert!(user.steps.iter().all(|step| step.phone < user.phones.len()));
    }
}

#[test]
fn without_faults_nothing_goes_wrong() {
    let plan = Plan::of(&options(3, FaultSet::none()));
    for step in plan.users.iter().flat_map(|user| &user.steps) {
        match &step.action {
            Action::Record(event) => assert!(event.is_valid),
            Action::Sync(sync) => assert_eq!(sync.faults, []),
            Action::Compact => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn in_every_other_plan_a_phone_comes_back_after_weeks_with_events_while_others_went_on() {
    // A clone might take over the end of an absence.
    let faults = FaultSet::of(Fault::ALL.iter().copied().filter(|fault| *fault != Fault::Cloned));
    let plans = (0..200).map(|seed| Plan::of(&options(seed, faults.clone())));
    let users: Vec<_> = plans.flat_map(|plan| plan.users).collect();
    let is_sync = |step: &&Step| matches!(step.action, Action::Sync(_));
    let mut absences = 0;
    for user in &users {
        let after_weeks = |step: &&Step| matches!(&step.action, Action::Sync(sync) if sync.after_weeks);
        let Some(back) = user.steps.iter().find(after_weeks) else { continue };
        let before = || user.steps.iter().filter(|step| step.at_ms < back.at_ms);
        let last_sync = before().filter(|step| step.phone == back.phone).rfind(is_sync);
        let left_ms = last_sync.map_or(0, |step| step.at_ms);
        assert!(back.at_ms - left_ms > 14 * DAY_MS, "a phone that is away does not sync");
        let meanwhile = before().filter(|step| step.at_ms > left_ms);
        let (own, others): (Vec<_>, Vec<_>) = meanwhile.partition(|step| step.phone == back.phone);
        assert!(own.iter().any(|step| matches!(step.action, Action::Record(_))));
        absences += usize::from(others.iter().any(is_sync));
    }
    assert!(2 * absences > users.len(), "{absences} absences of {} users", users.len());
}

#[test]
fn a_clone_does_nothing_before_it_exists() {
    for seed in 0..50 {
        for user in Plan::of(&options(seed, FaultSet::all())).users {
            let mut born_ms = BTreeMap::new();
            for step in &user.steps {
                if let Action::Clone { to, .. } = step.action {
                    born_ms.insert(to, step.at_ms);
                }
                let is_there = !user.phones[step.phone].is_clone || born_ms.contains_key(&step.phone);
                assert!(is_there, "seed {seed}: {step:?}");
            }
        }
    }
}
