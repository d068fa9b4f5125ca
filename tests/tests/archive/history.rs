//! A space's history reads as if nothing had ever been pruned, or not at all.

use tidelog_archive::{ArchiveError, HistoryError, Source};
use tidelog_events::id::{Position, SpaceId};
use uuid::Uuid;

use super::pruning::{HEAD, Log, Read, events};

#[tokio::test(flavor = "multi_thread")]
async fn history_is_the_same_wherever_the_horizon_lies_and_wherever_reading_begins() {
    let log = Log::new().await;
    let whole = log.pulled().await;
    assert_eq!(whole.len() as u64, HEAD);
    let ends = log.ends().await;
    for (index, end) in ends.iter().enumerate().filter(|(index, _)| index % 5 == 4) {
        log.prune(*end, 1 + index % 4).await;
        for after in [0, 1, end / 2, end - 1, *end, end + 1, HEAD - 1, HEAD, HEAD + 7] {
            let (read, _) = log.read(after).await.unwrap();
            assert_eq!(
                read,
                whole[whole.len().min(after as usize)..],
                "behind {after}, pruned through {end}"
            );
        }
    }
    let (_, chunks) = log.read(0).await.unwrap();
    assert!(chunks["archive"] > 5 && chunks["log"] == 1, "{chunks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_is_pruned_to_its_head_and_one_that_nobody_knows_have_an_end() {
    let log = Log::new().await;
    let whole = log.pulled().await;
    log.prune(HEAD, 7).await;
    assert_eq!(log.read(0).await.unwrap().0, whole);
    assert_eq!(log.read(HEAD).await.unwrap().0, []);
    let nobody = log.history.behind(&SpaceId::new("nobody").unwrap(), Position::ZERO).next_chunk().await;
    assert!(nobody.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_horizon_that_moves_while_history_is_read_opens_no_hole() {
    let log = Log::new().await;
    let whole = log.pulled().await;
    let ends = log.ends().await;
    // One object a segment, so that each chunk is one; after each, the horizon overtakes the reader.
    let mut reader = log.reader(0);
    let mut read: Vec<Read> = Vec::new();
    log.prune(ends[3], 1).await;
    let mut sources = Vec::new();
    for end in ends[3..].chunks(3).map(|ends| ends[ends.len() - 1]) {
        for _ in 0..3 {
            let chunk = reader.next_chunk().await.unwrap().unwrap();
            sources.push(chunk.source);
            read.extend(events(&chunk.segments));
        }
        if log.horizon().await < end {
            log.prune(end, 1).await;
        }
        if reader.cursor().0 == HEAD {
            break;
        }
    }
    while let Some(chunk) = reader.next_chunk().await.unwrap() {
        read.extend(events(&chunk.segments));
    }
    assert!(sources.iter().all(|source| *source == Source::Archive), "{sources:?}");
    assert_eq!(read, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_read_while_the_log_is_pruned_all_read_all_of_it() {
    let log = Log::new().await;
    let whole = log.pulled().await;
    let ends = log.ends().await;
    let pruning = async {
        for end in &ends {
            log.prune(*end, 2).await;
        }
    };
    let reading = async || {
        loop {
            let horizon = log.horizon().await;
            assert_eq!(log.read(horizon).await.unwrap().0, whole[horizon as usize..], "behind {horizon}");
            if horizon == ends[ends.len() - 1] {
                break;
            }
        }
        assert_eq!(log.read(0).await.unwrap().0, whole);
    };
    tokio::join!(pruning, reading(), reading(), reading());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_refused_wherever_it_is() {
    let log = Log::new().await;
    let ends = log.ends().await;
    let objects = log.prune(ends[9], 2).await;
    let refused_at = async || match log.read(0).await {
        Err(HistoryError::Gap { position, .. }) => position.0,
        other => panic!("{other:?}"),
    };
    // Of the log: its end, then its beginning.
    log.alter("DELETE FROM segments WHERE space_id = $1 AND last = $2", Position(HEAD)).await;
    assert_eq!(refused_at().await, ends[ends.len() - 1] + 1);
    log.alter("DELETE FROM segments WHERE space_id = $1 AND last = $2", Position(ends[10])).await;
    assert_eq!(refused_at().await, ends[9] + 1);
    // Of the archive.
    log.alter("DELETE FROM archive WHERE space_id = $1 AND last = $2", objects[2].last).await;
    assert_eq!(refused_at().await, objects[1].last.0 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_not_what_is_listed_is_refused() {
    let log = Log::new().await;
    let ends = log.ends().await;
    let objects = log.prune(ends[9], 5).await;
    let swap = "UPDATE archive SET object = other.object, sha256 = other.sha256 FROM archive AS other
                WHERE archive.space_id = $1 AND archive.last = $2 AND other.last <> archive.last";
    log.alter(swap, objects[0].last).await;
    let refused = log.read(0).await;
    assert!(matches!(refused, Err(HistoryError::Damaged { source: None, .. })), "{refused:?}");
    log.alter("UPDATE archive SET sha256 = '' WHERE space_id = $1 AND last = $2", objects[0].last).await;
    let refused = log.read(0).await;
    assert!(matches!(refused, Err(HistoryError::Archive(ArchiveError::Damaged { .. }))), "{refused:?}");
    log.alter("UPDATE archive SET object = 'x' WHERE space_id = $1 AND last = $2", objects[0].last).await;
    let refused = log.read(0).await;
    assert!(matches!(refused, Err(HistoryError::Archive(ArchiveError::Missing { .. }))), "{refused:?}");
    // What lies behind it is read all the same.
    log.read(objects[0].last.0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_replaced_while_it_is_read_is_not_read_on() {
    let log = Log::new().await;
    log.prune(log.ends().await[9], 5).await;
    let mut reader = log.reader(0);
    reader.next_chunk().await.unwrap().unwrap();
    let rotated = sqlx::query("UPDATE spaces SET epoch = $1").bind(Uuid::new_v4()).execute(&log.world.pool);
    rotated.await.unwrap();
    assert!(matches!(reader.next_chunk().await, Err(HistoryError::Replaced { .. })));
    // What was archived before is read by whoever begins anew.
    assert_eq!(log.read(0).await.unwrap().0.len() as u64, HEAD);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_be_reached_is_said() {
    let log = Log::new().await;
    let objects = log.prune(log.ends().await[9], 5).await;
    let folder = log.archive_folder();
    let aside = folder.with_extension("aside");
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    assert!(matches!(log.read(0).await, Err(HistoryError::Archive(ArchiveError::Away { .. }))));
    log.read(objects[1].last.0).await.unwrap();
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    assert_eq!(log.read(0).await.unwrap().0.len() as u64, HEAD);
}
