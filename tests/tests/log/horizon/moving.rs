//! A horizon that moves while readers page: they miss nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use tidelog_tests::WorldOptions;

use super::{LINES, Lines, PART, Reader, filled, pull, push_more};

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_paging_across_a_horizon_that_moves_between_pages_misses_nothing() {
    for form in LINES {
        let world = filled(WorldOptions::default(), 8).await;
        let mut reader = Reader::new();
        // After each page of five events so much is pruned: behind the reader, up to it, and before it.
        for (through, snapshots) in [(0, 0), (5, 0), (5, 0), (20, 1), (25, 1), (40, 2)] {
            if through > 0 && world.horizon("ann").await < through {
                world.prune("ann", through, PART).await;
            }
            let page = pull(&world, &format!("after={}&limit=5", reader.cursor), form).await;
            reader.take(&page);
            assert_eq!(reader.snapshots, snapshots, "{form:?} at {through}");
        }
        push_more(&world, 8, 9).await;
        reader.catch_up(&world, 4, form).await;
        reader.assert_has_everything(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_readers_that_page_while_the_log_is_pruned_see_no_gap_and_no_wrong_state() {
    let world = filled(WorldOptions::default(), 24).await;
    let is_over = AtomicBool::new(false);
    let pruning = async {
        for through in (5..=110).step_by(5) {
            world.prune("ann", through, PART).await;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let reading = join_all((0..4_u64).map(async |number| {
        let (mut snapshots, mut passes) = (0, 0);
        while !is_over.load(Ordering::Relaxed) {
            let mut reader = Reader::new();
            let form = [Lines::Frames, Lines::Plain][number as usize % 2];
            reader.catch_up(&world, 7 + 3 * number, form).await;
            reader.assert_has_everything(&world).await;
            (snapshots, passes) = (snapshots + reader.snapshots, passes + 1);
        }
        (snapshots, passes)
    }));
    let ((), read) = tokio::join!(pruning, reading);
    assert!(read.iter().all(|(snapshots, passes)| *passes > 0 && *snapshots > 0), "{read:?}");
}
