//! What every place must keep, whether folder or bucket.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::join_all;
use tidelog_archive::ArchiveError;
use tidelog_tests::S3Server;

use super::place::{Place, header};

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    keeps_the_contract(&Place::in_folder(&folder)).await;
}

#[tokio::test]
async fn a_bucket_keeps_the_contract() {
    let server = S3Server::start().await;
    keeps_the_contract(&Place::in_bucket(&server, "tidelog")).await;
}

async fn keeps_the_contract(place: &Place) {
    what_was_stored_is_fetched_unchanged(place).await;
    storing_again_gives_the_same_object_and_other_bytes_another(place).await;
    an_object_is_refused_under_another_hash(place).await;
    damage_is_noticed_and_storing_again_heals_it(place).await;
    a_missing_object_is_not_the_archive_being_away(place).await;
    every_space_id_has_objects_of_its_own(place).await;
    many_may_store_at_once(place).await;
}

/// Bytes that do not compress and differ by their seed.
fn bytes(seed: u64, count: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| random.u8(..)).collect::<Vec<_>>().into()
}

async fn what_was_stored_is_fetched_unchanged(place: &Place) {
    for count in [1, 1000, 9 * 1024 * 1024] {
        let object = bytes(1, count);
        let stored = place.archive.store(&header("ann"), object.clone()).await.unwrap();
        assert_eq!(stored.bytes, count as u64);
        let fetched = place.archive.fetch(&stored.object, &stored.sha256).await.unwrap();
        assert!(fetched == object, "{count} bytes");
    }
}

async fn storing_again_gives_the_same_object_and_other_bytes_another(place: &Place) {
    let first = place.archive.store(&header("ben"), bytes(1, 500)).await.unwrap();
    let again = place.archive.store(&header("ben"), bytes(1, 500)).await.unwrap();
    let other = place.archive.store(&header("ben"), bytes(2, 500)).await.unwrap();
    assert_eq!(again, first);
    assert_ne!(other.object, first.object);
    assert_eq!(place.archive.fetch(&first.object, &first.sha256).await.unwrap(), bytes(1, 500));
}

async fn an_object_is_refused_under_another_hash(place: &Place) {
    let one = place.archive.store(&header("cid"), bytes(1, 500)).await.unwrap();
    let other = place.archive.store(&header("cid"), bytes(2, 500)).await.unwrap();
    for hash in [&other.sha256[..], &one.sha256[..31], &[]] {
        let refused = place.archive.fetch(&one.object, hash).await;
        assert!(matches!(refused, Err(ArchiveError::Damaged { object }) if object == one.object));
    }
}

async fn damage_is_noticed_and_storing_again_heals_it(place: &Place) {
    let whole = bytes(1, 500);
    let stored = place.archive.store(&header("dan"), whole.clone()).await.unwrap();
    let mut flipped = whole.to_vec();
    flipped[499] ^= 1;
    for damaged in [flipped, whole[..499].to_vec(), Vec::new(), [&whole[..], b"x"].concat()] {
        place.overwrite(&stored.object, damaged).await;
        let refused = place.archive.fetch(&stored.object, &stored.sha256).await;
        assert!(matches!(refused, Err(ArchiveError::Damaged { .. })), "{refused:?}");
    }
    place.archive.store(&header("dan"), whole.clone()).await.unwrap();
    assert_eq!(place.archive.fetch(&stored.object, &stored.sha256).await.unwrap(), whole);
}

async fn a_missing_object_is_not_the_archive_being_away(place: &Place) {
    let stored = place.archive.store(&header("eve"), bytes(1, 500)).await.unwrap();
    place.delete(&stored.object).await;
    for object in [&stored.object, "never/was/there.zst", "", "../eve", "a//b"] {
        let refused = place.archive.fetch(object, &stored.sha256).await;
        assert!(matches!(refused, Err(ArchiveError::Missing { .. })), "{object}: {refused:?}");
    }
}

async fn every_space_id_has_objects_of_its_own(place: &Place) {
    let longest = "é".repeat(64);
    let odd = [
        "a/b",
        "a%2Fb",
        "a%252Fb",
        "/",
        "//",
        ".",
        "..",
        "../..",
        "%",
        "a b",
        "a+b",
        "équipe 9/blå",
        "😀",
        "a?b#c",
        "a\\b",
        "a~b",
        "*",
        "\"'<>|:",
        "CON",
        &longest,
    ];
    let mut objects = BTreeSet::new();
    for space in odd {
        let object = Bytes::from(format!("the events of {space}"));
        let stored = place.archive.store(&header(space), object.clone()).await.unwrap();
        assert_eq!(place.archive.fetch(&stored.object, &stored.sha256).await.unwrap(), object, "{space}");
        assert_eq!(stored.object.split('/').count(), 3, "{}", stored.object);
        objects.insert(stored.object.rsplit_once('/').unwrap().0.to_owned());
    }
    assert_eq!(objects.len(), odd.len(), "{objects:?}");
}

async fn many_may_store_at_once(place: &Place) {
    let header = header("fay");
    // Each object twice, as two replicas may.
    let stored = join_all((0..20).map(|index| place.archive.store(&header, bytes(index / 2, 50_000)))).await;
    for (index, stored) in (0..20).zip(stored) {
        let stored = stored.unwrap();
        let fetched = place.archive.fetch(&stored.object, &stored.sha256).await.unwrap();
        assert!(fetched == bytes(index / 2, 50_000));
    }
}
