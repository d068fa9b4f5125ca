//! Which segments become one.

use super::*;

/// A log written as its segments, each so many events: `3`; `50m` was merged before; `7!` is damaged; `4y` is young;
/// `2k40` decodes to 40 KiB; `1x8` are eight segments. Those before `|` were looked at.
fn log(text: &str) -> Facts {
    let mut facts = nothing();
    let (known, new) = text.split_once('|').unwrap_or(("", text));
    for (part, is_known) in [(known, true), (new, false)] {
        for word in part.split_whitespace() {
            let (word, times) = word.split_once('x').map_or((word, 1), |(w, n)| (w, n.parse().unwrap()));
            for _ in 0..times {
                facts.add(added(word));
            }
        }
        facts.merged_through = if is_known { facts.space.head } else { facts.merged_through };
    }
    facts
}

fn added(word: &str) -> Added {
    let (number, kibibytes) = word.split_once('k').map_or((word, None), |(n, k)| (n, Some(k)));
    let events: u64 = number.trim_end_matches(['m', '!', 'y']).parse().unwrap();
    let mut added = Added::new(events, 2 * HOUR);
    added.batches = if number.ends_with('m') { 2 } else { 1 };
    added.age_ms = if number.ends_with('y') { HOUR / 2 } else { added.age_ms };
    added.content_bytes = kibibytes.map(|k| k.parse::<u64>().unwrap() * 1024).or(added.content_bytes);
    added.content_bytes = added.content_bytes.filter(|_| !number.ends_with('!'));
    added
}

/// The runs that are merged, and through where.
fn merged(facts: &Facts, policy: &Policy) -> (Vec<RangeInclusive<u64>>, u64) {
    let plan = plan(facts, policy, NOW);
    (plan.merges.iter().map(positions).collect(), plan.merged_through.0)
}

fn check(text: &str, expect: &[RangeInclusive<u64>], through: u64) {
    assert_eq!(merged(&log(text), &policy()), (expect.to_vec(), through), "{text}");
}

#[test]
fn eight_small_segments_become_one_and_seven_wait() {
    check("", &[], 0);
    check("1x7", &[], 0);
    check("1x8", &[1..=8], 8);
    check("9 5 1 3 20 2 2 4", &[1..=46], 46);
    check("60m | 1x7", &[], 60);
}

#[test]
fn young_segments_wait() {
    check("1x8 1yx9", &[1..=8], 8);
    check("1x7 1yx9", &[], 0);
    check("1x7 1y 1x20", &[], 0);
}

#[test]
fn a_group_is_full_when_the_next_segment_does_not_fit() {
    check("50x8", &[1..=100, 101..=200, 201..=300], 400);
    check("60x8", &[], 480);
    check("40x3 30x5", &[1..=80, 81..=180], 270);
    check("1x50 51 1x8", &[1..=50, 51..=109], 109);
    check("100 1x8", &[101..=108], 108);
    check("1 1000 1x8", &[1002..=1009], 1009);
    check("1x3 1000 1x8", &[1..=3, 1004..=1011], 1011);
}

#[test]
fn bytes_that_readers_get_fill_a_group_too() {
    check("1k30x8", &[1..=2, 3..=4, 5..=6], 8);
    check("1k70x8", &[], 8);
    check("1k6x9", &[1..=9], 9);
    check("1k8x9", &[1..=7], 9);
    // Each event a batch of its own: their headers count.
    let mut singles = nothing();
    for _ in 0..100 {
        singles.add(Added { content_bytes: Some(1), ..Added::new(1, DAY) });
    }
    let small = Policy { merge_bytes: 1700, ..policy() };
    assert_eq!(merged(&singles, &small).0.first(), Some(&(1..=10)), "10 × (160 + 1) bytes and no more");
}

#[test]
fn what_was_merged_is_merged_again_only_to_twice_its_size() {
    check("16m | 1x8", &[17..=24], 24);
    check("9m | 1x8", &[10..=17], 17);
    check("8m | 1x8", &[1..=16], 16);
    check("32m 16m 8m | 1x8", &[1..=64], 64);
    check("33m 16m 8m | 1x8", &[34..=65], 65);
    check("33m 20m 8m | 1x8", &[1..=69], 69);
    check("3 2m 3 | 1x8", &[1..=16], 16);
    check("60m | 1x8 20", &[61..=88], 88);
    check("44m | 1x8 36", &[1..=88], 88);
}

#[test]
fn a_full_group_takes_in_what_was_left_before_it() {
    check("60m 8m | 1x8 30", &[1..=76], 106);
    check("90m 5m | 1x8", &[1..=100], 103);
    check("97m 5m | 1x8 90", &[98..=110], 200);
}

#[test]
fn a_damaged_segment_and_a_gap_are_not_merged_across() {
    check("1x4 1! 1x8", &[1..=4, 6..=13], 13);
    check("1! 1x8", &[2..=9], 9);
    check("1x8 1!", &[1..=8], 9);
    let mut facts = log("1x16");
    facts.mergeable.remove(4);
    assert_eq!(merged(&facts, &policy()).0, [1..=4, 6..=16]);
}

#[test]
fn no_run_reaches_across_the_end_of_what_is_pruned() {
    let mut facts = nothing();
    for _ in 0..40 {
        facts.add(Added::new(1, 40 * DAY));
    }
    facts.applied = Position(25);
    let Plan { merges, prune, .. } = plan(&facts, &policy(), NOW);
    assert_eq!(prune, Decision::Through(Position(25)));
    assert_eq!(merges.iter().map(positions).collect::<Vec<_>>(), [1..=25, 26..=40]);
}
