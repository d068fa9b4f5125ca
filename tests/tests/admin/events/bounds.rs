//! What a page may cost.

use serde_json::Value;

use super::super::past::{all, events, items, next, options, push_quarantined, push_segments};
use super::ORDERS;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_has_looked_at_enough_ends_and_the_next_one_goes_on() {
    let world = options().set("admin.page_events", 3).start().await;
    push_segments(&world, "ann", 0, 6).await;
    push_quarantined(&world, "ann").await;
    world.prune("ann", 15, 2).await;
    for order in ["position", "-position"] {
        let query = format!("order={order}&type=NAMED");
        let page = events(&world, "ann", &query).await;
        assert!(items(&page).len() <= 1 && !page.json["next"].is_null(), "{order}: {}", page.json);
        let mut pages = 1;
        let mut last = page;
        while let Some(behind) = next(&world, "ann", &query, &last).await {
            last = behind;
            pages += 1;
        }
        assert!(pages >= 11, "{order}: {pages} pages of at most three events");
        assert_eq!(all(&world, "ann", &query).await.len(), 4, "{order}");
        assert_eq!(all(&world, "ann", &format!("order={order}")).await.len(), 33, "{order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_where_its_bytes_do_and_has_at_least_one_item() {
    let world = options().set("admin.page_bytes", 1).start().await;
    push_segments(&world, "ann", 0, 3).await;
    push_quarantined(&world, "ann").await;
    for order in ORDERS {
        let page = events(&world, "ann", &format!("order={order}")).await;
        assert_eq!(items(&page).len(), 1, "{order}");
        assert_eq!(all(&world, "ann", &format!("order={order}")).await.len(), 18, "{order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_events_than_may_be_put_in_order_of_stamps_are_refused() {
    let world = options().set("admin.history_events", 12).start().await;
    push_segments(&world, "ann", 0, 2).await;
    assert_eq!(all(&world, "ann", "order=timestamp").await.len(), 10);
    push_quarantined(&world, "ann").await;
    events(&world, "ann", "order=timestamp").await.expect_refusal(422, "result-too-large");
    push_segments(&world, "ann", 2, 4).await;
    let refused = events(&world, "ann", "order=-timestamp&quarantined=without").await;
    refused.expect_refusal(422, "result-too-large");
    assert!(refused.json["detail"].as_str().unwrap().contains("admin.history_events"));
    assert_eq!(all(&world, "ann", "order=timestamp&from=3&to=14&limit=5").await.len(), 12);
    assert_eq!(all(&world, "ann", "order=position").await.len(), 23, "by position there is no such limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_an_operator_sets_is_that_of_a_page() {
    let world = options().set("admin.page_items", 7).start().await;
    push_segments(&world, "ann", 0, 2).await;
    assert_eq!(items(&events(&world, "ann", "").await).len(), 7);
    events(&world, "ann", "limit=8").await.expect_refusal(400, "request-invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_archive_lost_is_an_error_and_no_history_without_it() {
    let world = options().start().await;
    push_segments(&world, "ann", 0, 6).await;
    world.prune("ann", 20, 2).await;
    std::fs::remove_dir_all(world.archive_folder()).unwrap();
    for query in ["order=position", "order=timestamp", "order=-timestamp", "from=20&limit=1"] {
        let answer = events(&world, "ann", query).await;
        assert!(answer.status.is_server_error(), "{query}: {}", answer.json);
        assert_eq!(answer.json["items"], Value::Null, "{query}");
    }
    assert_eq!(all(&world, "ann", "from=21").await.len(), 10, "the log alone does without it");
    assert_eq!(items(&events(&world, "ann", "order=-position&limit=10").await).len(), 10);
    assert_eq!(all(&world, "ann", "order=-position&from=21").await.len(), 10);
}
