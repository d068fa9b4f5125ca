//! When a space is due: tables, and a walk through everything that can happen.

use super::*;

fn scheduler() -> Scheduler {
    Scheduler::new(0, fastrand::Rng::with_seed(1))
}

/// One that has synced at 0.
fn synced() -> Scheduler {
    let mut scheduler = scheduler();
    scheduler.started(0);
    scheduler.succeeded(0);
    scheduler
}

/// One whose attempt at 0 has failed.
fn failed(retry_after: Option<u64>) -> Scheduler {
    let mut scheduler = synced();
    scheduler.started(0);
    scheduler.failed(0, retry_after.map(Duration::from_secs));
    scheduler
}

#[test]
fn it_is_due_at_the_start_and_then_every_30_seconds() {
    assert_eq!(scheduler().due_ms(), Some(0));
    let mut scheduler = synced();
    assert_eq!(scheduler.due_ms(), Some(30_000));
    scheduler.started(30_000);
    scheduler.succeeded(31_000);
    assert_eq!(scheduler.due_ms(), Some(61_000));
}

#[test]
fn a_failure_doubles_the_interval_to_5_minutes_and_a_success_halves_it_to_30_seconds() {
    let mut scheduler = synced();
    let mut intervals = Vec::new();
    for _ in 0..5 {
        scheduler.failed(0, None);
        intervals.push(scheduler.interval_ms);
    }
    for _ in 0..5 {
        scheduler.succeeded(0);
        intervals.push(scheduler.interval_ms);
        assert_eq!(scheduler.due_ms(), Some(scheduler.interval_ms));
    }
    let expect = [60_000, 120_000, 240_000, 300_000, 300_000, 150_000, 75_000, 37_500, 30_000, 30_000];
    assert_eq!(intervals, expect);
}

#[test]
fn after_a_failure_the_next_attempt_is_anywhere_in_the_interval() {
    let (mut early, mut late) = (0, 0);
    for seed in 0..1000 {
        let mut scheduler = Scheduler::new(0, fastrand::Rng::with_seed(seed));
        scheduler.started(0);
        scheduler.failed(1000, None);
        let due = scheduler.due_ms().unwrap();
        assert!((1000..61_000).contains(&due), "{due}");
        early += u32::from(due < 7000);
        late += u32::from(due >= 55_000);
    }
    assert!((60..140).contains(&early) && (60..140).contains(&late), "{early} {late}");
}

#[test]
fn a_recorded_event_is_due_after_250_ms_and_a_burst_after_a_second() {
    let check = |recorded: &[i64], expect: i64| {
        let mut scheduler = synced();
        for at in recorded {
            scheduler.recorded(*at);
        }
        assert_eq!(scheduler.due_ms(), Some(expect), "{recorded:?}");
    };
    check(&[100], 350);
    check(&[100, 200], 450);
    check(&[100, 300, 500, 700, 849], 1099);
    check(&[100, 300, 500, 700, 900, 1100], 1100);
    // A burst never delays what is due anyway.
    check(&[29_900], 30_000);
}

#[test]
fn an_attempt_takes_along_what_was_recorded_before_it_and_nothing_that_comes_later() {
    let mut scheduler = synced();
    scheduler.recorded(100);
    scheduler.started(350);
    scheduler.recorded(400);
    scheduler.succeeded(500);
    assert_eq!(scheduler.due_ms(), Some(650));
    scheduler.started(650);
    scheduler.succeeded(700);
    assert_eq!(scheduler.due_ms(), Some(30_700));
}

#[test]
fn while_it_fails_a_recorded_event_makes_an_attempt_every_5_seconds_at_most() {
    let mut scheduler = failed(None);
    scheduler.routine_ms = 60_000;
    scheduler.recorded(100);
    assert_eq!(scheduler.due_ms(), Some(5000));
    scheduler.recorded(9000);
    scheduler.started(9250);
    scheduler.succeeded(9300);
    scheduler.recorded(9400);
    assert_eq!(scheduler.due_ms(), Some(9650), "it does not fail any more");
}

#[test]
fn nothing_goes_below_retry_after() {
    let mut scheduler = failed(Some(120));
    assert_eq!(scheduler.due_ms(), Some(120_000), "the interval is shorter");
    scheduler.recorded(10);
    assert_eq!(scheduler.due_ms(), Some(120_000));
    scheduler.set_online(false, 20);
    scheduler.set_online(true, 30);
    assert_eq!(scheduler.due_ms(), Some(120_000));
    scheduler.failed(40, Some(Duration::from_secs(1)));
    assert_eq!(scheduler.not_before_ms(), 120_000, "a shorter one does not take it back");
    scheduler.failed(50, Some(Duration::MAX));
    assert_eq!(scheduler.due_ms(), Some(i64::MAX));
}

#[test]
fn a_network_that_comes_back_is_used_at_once() {
    let mut scheduler = synced();
    for _ in 0..4 {
        scheduler.failed(0, None);
    }
    scheduler.set_online(false, 10);
    assert_eq!(scheduler.due_ms(), None);
    scheduler.set_online(true, 400_000);
    assert_eq!(scheduler.due_ms(), Some(400_000));
    scheduler.started(400_000);
    scheduler.succeeded(400_000);
    assert_eq!(scheduler.due_ms(), Some(430_000), "the interval is short again");
    scheduler.set_online(true, 410_000);
    assert_eq!(scheduler.due_ms(), Some(430_000), "it was online all the time");
}

#[test]
fn while_paused_nothing_is_due_and_afterwards_what_became_due_is() {
    let mut scheduler = synced();
    scheduler.set_paused(true);
    scheduler.recorded(100);
    assert_eq!(scheduler.due_ms(), None);
    scheduler.set_online(false, 200);
    scheduler.set_paused(false);
    assert_eq!(scheduler.due_ms(), None, "still offline");
    scheduler.set_online(true, 300);
    assert_eq!(scheduler.due_ms(), Some(300));
}

#[test]
fn what_was_interrupted_goes_on_as_soon_as_it_may() {
    let mut scheduler = synced();
    scheduler.started(30_000);
    scheduler.set_paused(true);
    scheduler.interrupted(30_100);
    assert_eq!(scheduler.due_ms(), None);
    scheduler.set_paused(false);
    assert_eq!(scheduler.due_ms(), Some(30_100));
}

#[test]
fn while_the_log_comes_live_it_is_due_every_5_minutes_and_for_what_is_recorded() {
    let mut scheduler = synced();
    scheduler.went_live(1000);
    assert_eq!(scheduler.due_ms(), Some(301_000));
    scheduler.recorded(2000);
    assert_eq!(scheduler.due_ms(), Some(2250));
    scheduler.started(2250);
    scheduler.succeeded(2300);
    assert_eq!(scheduler.due_ms(), Some(302_300));
    // What fails is tried again as ever.
    scheduler.started(302_300);
    scheduler.failed(302_400, None);
    let due = scheduler.due_ms().unwrap();
    assert!(due < 302_400 + 60_000, "{due}");
    scheduler.went_live(302_500);
    assert_eq!(scheduler.due_ms(), Some(due), "an open connection does not make up for that");
}

#[test]
fn when_the_log_comes_live_no_more_all_ask_again_within_3_seconds_but_not_at_once() {
    let (mut early, mut late) = (0, 0);
    for seed in 0..1000 {
        let mut scheduler = Scheduler::new(0, fastrand::Rng::with_seed(seed));
        scheduler.started(0);
        scheduler.succeeded(0);
        scheduler.went_live(0);
        scheduler.lost_live(100_000);
        let due = scheduler.due_ms().unwrap();
        assert!((100_000..103_000).contains(&due), "{due}");
        early += u32::from(due < 100_300);
        late += u32::from(due >= 102_700);
        scheduler.started(due);
        scheduler.succeeded(due);
        assert_eq!(scheduler.due_ms(), Some(due + 30_000), "it polls again");
        scheduler.lost_live(due);
        assert_eq!(scheduler.due_ms(), Some(due + 30_000), "it was lost before");
    }
    assert!((60..140).contains(&early) && (60..140).contains(&late), "{early} {late}");
}

#[test]
fn what_lasts_is_tried_rarely_whatever_is_recorded() {
    for seed in 0..200 {
        let mut scheduler = Scheduler::new(0, fastrand::Rng::with_seed(seed));
        scheduler.started(0);
        scheduler.went_live(0);
        scheduler.refused(0);
        scheduler.recorded(10);
        scheduler.lost_live(20);
        scheduler.wanted(30);
        let due = scheduler.due_ms().unwrap();
        assert!((150_000..300_000).contains(&due), "{due}");
        scheduler.started(due);
        scheduler.succeeded(due);
        scheduler.recorded(due);
        assert_eq!(scheduler.due_ms(), Some(due + DEBOUNCE_MS), "somebody has done something about it");
    }
}

#[test]
fn what_is_amiss_is_looked_at_at_once_unless_it_fails_anyway() {
    let mut scheduler = synced();
    scheduler.wanted(100);
    assert_eq!(scheduler.due_ms(), Some(100));
    let mut failing = failed(None);
    let due = failing.due_ms();
    failing.wanted(0);
    assert_eq!(failing.due_ms(), due);
}

#[test]
fn whatever_happens_it_is_due_within_the_interval_and_never_before_retry_after() {
    for seed in 0..500 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut scheduler = Scheduler::new(0, random.fork());
        let (mut now, mut not_before) = (0, 0);
        for _ in 0..200 {
            now += random.i64(0..40_000);
            match random.u8(0..13) {
                0 | 1 => scheduler.recorded(now),
                2 => scheduler.started(now),
                3 => scheduler.succeeded(now),
                4 => scheduler.failed(now, None),
                5 => {
                    let after = random.u64(0..200);
                    scheduler.failed(now, Some(Duration::from_secs(after)));
                    not_before = not_before.max(now + after as i64 * 1000);
                }
                6 => scheduler.interrupted(now),
                7 => scheduler.set_online(random.bool(), now),
                8 => scheduler.went_live(now),
                9 => scheduler.lost_live(now),
                10 => scheduler.wanted(now),
                11 => scheduler.refused(now),
                _ => scheduler.set_paused(random.bool()),
            }
            let due = scheduler.due_ms();
            assert_eq!(due.is_none(), !scheduler.online || scheduler.paused, "seed {seed}");
            let Some(due) = due else { continue };
            assert!(due >= not_before, "seed {seed}: {due} is before {not_before}");
            assert!(due <= (now + INTERVAL_MAX_MS).max(not_before), "seed {seed}: {due} at {now}");
            assert!((INTERVAL_MIN_MS..=INTERVAL_MAX_MS).contains(&scheduler.interval_ms), "seed {seed}");
        }
    }
}
