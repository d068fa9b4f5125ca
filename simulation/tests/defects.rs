//! Breaks one rule of the design at a time in every simulated phone: the simulation must find each, and find nothing
//! in the same seeds without it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the tests' own functions")]

use tidelog_client::defect::{Defect, plant};
use tidelog_simulation::in_memory::{simulate, small};
use tidelog_simulation::schemas::{FITNESS, Schemas};

/// Seeds within which a defect must be found.
const SEEDS: u64 = 300;

/// The first seed with which something is wrong.
fn first_wrong(schemas: &Schemas) -> Option<u64> {
    (1..=SEEDS).find(|&seed| !simulate(small(seed), schemas).unwrap().is_clean())
}

fn must_be_found(defect: Defect) {
    let schemas = Schemas::fitness().unwrap();
    plant(Some(defect));
    let found = first_wrong(&schemas);
    plant(None);
    let seed = found.unwrap_or_else(|| panic!("{defect:?} was not found in {SEEDS} seeds"));
    println!("{defect:?}: found by seed {seed}");
    let healthy = simulate(small(seed), &schemas).unwrap();
    assert!(healthy.is_clean(), "{healthy}");
}

macro_rules! defects {
    ($($name:ident: $defect:ident,)*) => {
        $(#[test] fn $name() { must_be_found(Defect::$defect); })*
    };
}

defects! {
    a_cursor_stored_before_its_contents_is_found: CursorBeforeContents,
    events_retired_by_the_brokers_acknowledgement_are_found: RetiredByBrokerAck,
    events_retired_without_a_look_at_the_id_are_found: RetiredWithoutIdCheck,
    a_state_confirmed_from_local_copies_is_found: ConfirmedFromLocalCopy,
    an_overlay_dropped_at_the_watermark_is_found: OverlayDroppedAtWatermark,
    new_numbers_without_asking_the_server_are_found: RenumberedWithoutAsking,
    a_stamp_that_differs_from_the_logs_is_found: RestampedCopyKept,
    forks_that_nobody_notices_are_found: NoForkCheck,
}

#[test]
fn another_merge_rule_on_the_phones_is_found() {
    let declared = "duration:     { type: integer, unit: s }";
    let changed = "duration:     { type: integer, unit: s, merge: max }";
    assert!(FITNESS.contains(declared));
    let schemas = Schemas::with_device(&FITNESS.replace(declared, changed)).unwrap();
    assert!(first_wrong(&schemas).is_some());
}
