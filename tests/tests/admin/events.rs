//! A space's history: every event once, whether it lies in log, archive or quarantine.

mod bounds;
mod quarantined;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;
use tidelog_tests::{Answer, Batch, World};

use super::past::{
    all, batch, event, events, ids, items, look, next, options, push_quarantined, push_segments,
};

const ORDERS: [&str; 4] = ["position", "-position", "timestamp", "-timestamp"];

/// Where an event stands in event order.
fn place(item: &Value) -> (String, String, u64) {
    let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let stamp = if item["timestamp"].is_null() { text("receivedAt") } else { text("timestamp") };
    (stamp, text("deviceId"), item["deviceSequence"].as_u64().unwrap())
}

/// That items stand in that order.
fn assert_ordered(items: &[Value], order: &str) {
    let mut items = items.to_vec();
    if order.starts_with('-') {
        items.reverse();
    }
    if order.ends_with("timestamp") {
        assert!(items.is_sorted_by_key(place), "{order}");
    } else {
        let logged: Vec<u64> = items.iter().filter_map(|item| item["position"].as_u64()).collect();
        assert!(logged.is_sorted(), "{order}: {logged:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_listed_with_its_own_keys_and_with_where_it_lies() {
    let world = options().start().await;
    push_segments(&world, "ann", 0, 6).await;
    push_quarantined(&world, "ann").await;
    let pulled = world.whole_log("ann").await;
    world.prune("ann", 20, 2).await;
    let mut listed = all(&world, "ann", "").await;
    let quarantined = listed.split_off(pulled.len());
    for (mut listed, pulled) in listed.into_iter().zip(pulled) {
        let source = listed.as_object_mut().unwrap().remove("source").unwrap();
        assert_eq!(source, if listed["position"].as_u64() <= Some(20) { "archive" } else { "log" });
        assert_eq!(listed, pulled, "as a pull showed it before anything was pruned");
    }
    assert!(quarantined.len() == 3 && quarantined.iter().all(|item| item["source"] == "quarantine"));
    let page = events(&world, "ann", "limit=1").await;
    assert_eq!((page.json["head"].as_u64(), page.json["horizon"].as_u64()), (Some(30), Some(20)));
}

#[tokio::test(flavor = "multi_thread")]
async fn going_through_the_pages_lists_each_event_once_in_any_order() {
    let world = options().start().await;
    push_segments(&world, "ann", 0, 6).await;
    push_quarantined(&world, "ann").await;
    let expected: BTreeSet<String> = ids(&all(&world, "ann", "limit=1000").await).into_iter().collect();
    assert_eq!(expected.len(), 33);
    for pruned in [0, 15, 25] {
        if pruned > 0 {
            world.prune("ann", pruned, 2).await;
        }
        for order in ORDERS {
            for limit in [1, 4, 33] {
                let found = all(&world, "ann", &format!("order={order}&limit={limit}")).await;
                assert_ordered(&found, order);
                let found = ids(&found);
                assert_eq!(found.len(), 33, "{order} {limit} {pruned}");
                assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{order} {limit} {pruned}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_grows_and_is_pruned_between_pages_loses_and_repeats_nothing() {
    let world = options().start().await;
    for (order, space) in ORDERS.into_iter().zip(["ann", "ben", "cid", "dan"]) {
        push_segments(&world, space, 0, 6).await;
        push_quarantined(&world, space).await;
        let before: BTreeSet<String> = ids(&all(&world, space, "limit=1000").await).into_iter().collect();
        let query = format!("order={order}&limit=4");
        let mut page = events(&world, space, &query).await;
        let mut found = items(&page);
        let mut pages = 1;
        while let Some(behind) = next(&world, space, &query, &page).await {
            found.extend(items(&behind));
            page = behind;
            pages += 1;
            match pages {
                2 => world.prune(space, 10, 2).await,
                3 => push_segments(&world, space, 6, 8).await,
                5 => world.prune(space, 25, 2).await,
                6 => world.merge_segments(space, 26, 35).await,
                _ => {}
            }
        }
        assert!(pages > 8, "{order}: {pages} pages");
        assert_ordered(&found, order);
        let found = ids(&found);
        let unique: BTreeSet<String> = found.iter().cloned().collect();
        assert_eq!(unique.len(), found.len(), "{order}: none comes twice");
        assert!(unique.is_superset(&before), "{order}: none is missing");
        // In the order of the log, what is new stands at the end; the others show the space as it was.
        assert_eq!(unique.len(), if order == "position" { 43 } else { 33 }, "{order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_leaves_what_it_says() {
    let world = options().start().await;
    push_segments(&world, "ann", 0, 6).await;
    push_quarantined(&world, "ann").await;
    let escaped = event("odd", 1).with("entityId", "a\"b/c").0.to_string().replace("MADE", "\\u004dADE");
    world.push("ann", &batch("odd", 1, 1).with_line(0, escaped)).await.expect(200);
    let of_ben = batch("tablet", 1, 2).with("userId", "ben").json().to_string();
    let request = world.backend_request(Method::POST, "/v1/spaces/ann/events");
    Answer::of(request.header("Content-Type", "application/json").body(of_ben)).await.expect(200);
    world.prune("ann", 20, 2).await;
    let everything = all(&world, "ann", "limit=1000").await;
    let check = async |query: &str, keep: &dyn Fn(&Value) -> bool| {
        let expected: Vec<&Value> = everything.iter().filter(|item| keep(item)).collect();
        assert!(!expected.is_empty() && expected.len() < everything.len(), "{query}: {}", expected.len());
        for order in ORDERS {
            let found = all(&world, "ann", &format!("{query}&order={order}&limit=7")).await;
            assert_ordered(&found, order);
            let ids = ids(&found).into_iter().collect::<BTreeSet<_>>();
            assert_eq!(ids.len(), found.len(), "{query} {order}");
            let same = expected.iter().all(|item| ids.contains(item["eventId"].as_str().unwrap()));
            assert!(same && found.len() == expected.len(), "{query} {order}: {}", found.len());
        }
    };
    let is = |key: &'static str, value: &'static str| move |item: &Value| item[key] == value;
    check("type=MADE", &is("type", "MADE")).await;
    check("type=FLOWN", &is("type", "FLOWN")).await;
    check("entityId=e-1", &is("entityId", "e-1")).await;
    check("entityId=a%22b%2Fc", &is("entityId", "a\"b/c")).await;
    check("deviceId=watch-1", &is("deviceId", "watch-1")).await;
    check("deviceId=drone", &is("deviceId", "drone")).await;
    check("userId=ben", &is("userId", "ben")).await;
    check("type=MADE&deviceId=phone-1", &|item| item["type"] == "MADE" && item["deviceId"] == "phone-1")
        .await;
    check("quarantined=only", &is("source", "quarantine")).await;
    check("quarantined=without", &|item| !item["position"].is_null()).await;
    let between = |from: u64, to: u64| {
        move |item: &Value| item["position"].as_u64().is_some_and(|position| (from..=to).contains(&position))
    };
    check("from=18&to=23", &between(18, 23)).await;
    check("from=20", &between(20, u64::MAX)).await;
    check("to=20&quarantined=with", &between(1, 20)).await;
    check("from=7&type=NAMED", &|item| between(7, u64::MAX)(item) && item["type"] == "NAMED").await;
    // All stamps of events that are not quarantined are of one millisecond; `drone`'s last has none that can be read.
    let is_stamped = |item: &Value| !item["timestamp"].is_null();
    check("to=2025-08-06T10:30:00.000Z", &is_stamped).await;
    check("from=2025-08-06T10:30:00.001Z", &|item| !is_stamped(item)).await;
    for nothing in ["type=NEVER", "entityId=E-1", "deviceId=phone", "from=34", "to=2025-08-06T10:29:59.999Z"]
    {
        for order in ORDERS {
            let found = all(&world, "ann", &format!("{nothing}&order={order}")).await;
            assert_eq!(found, Vec::<Value>::new(), "{nothing} {order}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_refused_and_so_is_a_space_that_is_not_there() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect(200);
    for query in [
        "from=-1",
        "from=NaN",
        "to=1e9",
        "to=99999999999999999999",
        "from=3&to=2",
        "limit=0",
        "limit=1001",
        "limit=-5",
        "limit=NaN",
        "order=timestamp%3B",
        "order=",
        "cursor=x",
        "cursor=e30",
        "deviceId=%00",
        "entityId=",
        "quarantined=maybe",
        "nothing=1",
        "limit=1&limit=2",
        "from=%27%20OR%201=1",
    ] {
        events(&world, "ann", query).await.expect_refusal(400, "request-invalid");
    }
    let injected = events(&world, "ann", "type=%27%20OR%20%271%27=%271&deviceId=%27--").await;
    assert_eq!(items(&injected), Vec::<Value>::new());
    let backwards = events(&world, "ann", "order=-position&limit=1").await;
    let cursor = backwards.json["next"].as_str().unwrap();
    events(&world, "ann", &format!("order=position&cursor={cursor}"))
        .await
        .expect_refusal(400, "request-invalid");
    events(&world, "ben", "").await.expect_refusal(404, "not-found");
    events(&world, "me", "").await.expect_refusal(404, "not-found");
    look(&world, "/admin/v1/spaces/%00/events").await.expect_refusal(400, "request-invalid");
    let path = "/admin/v1/spaces/ann/events";
    let unscoped = Answer::of(world.admin_request(Method::GET, path, "profile")).await;
    unscoped.expect_refusal(403, "forbidden");
    sqlx::query("INSERT INTO erasures (space_id) VALUES ('ann')").execute(&world.pool).await.unwrap();
    events(&world, "ann", "").await.expect_refusal(410, "space-erased");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_of_quarantined_events_alone_has_a_history() {
    let world = options().start().await;
    push_quarantined(&world, "ann").await;
    for order in ORDERS {
        let found = all(&world, "ann", &format!("order={order}&limit=2")).await;
        assert_eq!(found.len(), 3, "{order}");
    }
}
