//! Pages: nothing is lost between them and nothing comes twice.

use serde_json::{Value, json};
use tidelog_tests::World;

use super::{Folded, encoded, ids, list, options, with_things};

/// All ids, page by page, and how many were on each.
async fn all(world: &World, user: &str, query: &str) -> (Vec<String>, Vec<usize>) {
    let (mut found, mut sizes) = (Vec::new(), Vec::new());
    let mut cursor = String::new();
    loop {
        let page = list(world, user, &format!("{query}{cursor}")).await;
        let page = &page.expect(200).json;
        found.extend(ids(page).into_iter().map(str::to_owned));
        sizes.push(ids(page).len());
        match &page["next"] {
            Value::Null => return (found, sizes),
            next => cursor = format!("&cursor={}", encoded(next.as_str().unwrap())),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_entity_once_in_order_of_their_ids() {
    let world = options().start().await;
    let mut folded = with_things(&world, "ann", 250).await;
    for number in (0..250).step_by(7) {
        folded.change(&format!("t-{number:04}"), json!({"duration": 1000}));
    }
    folded.delete("t-0100");
    folded.write().await;
    let expect: Vec<_> =
        (0..250).filter(|number| *number != 100).map(|number| format!("t-{number:04}")).collect();
    for by in ["", "&where=duration:ge:0", "&where=name:ge:a"] {
        let (found, sizes) = all(&world, "ann", &format!("limit=100{by}")).await;
        assert_eq!((found, sizes), (expect.clone(), vec![100, 100, 49]), "{by}");
    }
    assert_eq!(
        all(&world, "ann", "").await,
        (expect.clone(), vec![100, 100, 49]),
        "a hundred is the default"
    );
    assert_eq!(
        all(&world, "ann", "limit=249").await,
        (expect.clone(), vec![249]),
        "nothing is behind the last"
    );
    let of_seven = all(&world, "ann", "limit=10&where=duration:eq:1000").await;
    assert_eq!((of_seven.0.len(), of_seven.1), (36, vec![10, 10, 10, 6]));
    assert_eq!(list(&world, "ann", "limit=10&cursor=zzz").await.json["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_order_as_bytes_whatever_the_language() {
    let world = options().start().await;
    let mut folded = Folded::new(&world, "ann");
    let mut names = ["B", "a", "A", "b", "ä", "a-b", "a b", "Z", "é", "\u{ff5e}", "\u{1f600}", "10", "9"];
    for name in names {
        folded.create(name, json!({}));
    }
    folded.write().await;
    names.sort_unstable();
    assert_eq!(all(&world, "ann", "limit=2").await.0, names);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greater_limit_is_lowered_to_the_servers() {
    let world = options().set("limits.read_entities", 8).start().await;
    with_things(&world, "ann", 20).await;
    for query in ["", "limit=9", "limit=1000000"] {
        assert_eq!(ids(&list(&world, "ann", query).await.json).len(), 8, "{query}");
    }
    assert_eq!(ids(&list(&world, "ann", "limit=0").await.json).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_bounded_in_bytes_and_still_moves_on() {
    let world = options().set("gateway.pull_bytes", 5000).start().await;
    let mut folded = Folded::new(&world, "ann");
    for (number, bytes) in [900, 900, 6000, 900, 900, 900, 900, 900, 900, 900].into_iter().enumerate() {
        // However well PostgreSQL compresses it.
        folded.create(&format!("t-{number}"), json!({"name": "x".repeat(bytes), "duration": 1}));
    }
    folded.write().await;
    for by in ["", "where=duration:eq:1"] {
        let (found, sizes) = all(&world, "ann", by).await;
        assert_eq!(found, (0..10).map(|number| format!("t-{number}")).collect::<Vec<_>>(), "{by}");
        assert_eq!(sizes, [3, 5, 2], "{by}: as many as begin below the bound");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_can_be_of_what_changed_behind_a_position() {
    let world = options().start().await;
    let mut folded = with_things(&world, "ann", 10).await;
    let changed = async |after: u64| all(&world, "ann", &format!("limit=2&updatedAfter={after}")).await.0;
    assert_eq!(changed(10).await, [] as [&str; 0]);
    assert_eq!(changed(8).await, ["t-0008", "t-0009"]);
    folded.change("t-0003", json!({"name": "changed"}));
    folded.change("t-0001", json!({"name": "changed"}));
    folded.create("new", json!({}));
    folded.delete("t-0009");
    folded.write().await;
    assert_eq!(changed(10).await, ["new", "t-0001", "t-0003"]);
    assert_eq!(changed(11).await, ["new", "t-0001"]);
    assert_eq!(changed(14).await, [] as [&str; 0]);
    let one = list(&world, "ann", "updatedAfter=10&where=duration:eq:3").await.json;
    assert_eq!((ids(&one), &one["asOf"]), (vec!["t-0003"], &json!(14)));
}
