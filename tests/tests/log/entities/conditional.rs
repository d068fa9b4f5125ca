//! Conditional requests: who has an answer is told so.

use reqwest::Method;
use serde_json::json;
use tidelog_tests::{Answer, World};

use super::{Folded, options};

async fn ask(world: &World, path: &str, known: Option<&str>) -> Answer {
    let mut request = world.request(Method::GET, &format!("/v1/spaces/me/entities/{path}"), "ann");
    if let Some(known) = known {
        request = request.header("If-None-Match", known);
    }
    Answer::of(request).await
}

fn tag(answer: &Answer) -> &str {
    answer.headers["etag"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_has_the_answer_is_told_so_until_it_shows_something_else() {
    let world = options().start().await;
    let mut folded = Folded::new(&world, "ann");
    folded.create("a", json!({"name": "one"}));
    folded.create("b", json!({}));
    folded.write().await;
    for path in ["thing", "thing/a", "thing?where=name:eq:one"] {
        let first = ask(&world, path, None).await;
        first.expect(200);
        for known in
            [tag(&first), tag(&first).trim_start_matches("W/"), "*", &format!("\"x\", {}", tag(&first))]
        {
            let again = ask(&world, path, Some(known)).await;
            assert!(again.expect(304).body.is_empty(), "{path} {known}");
            assert_eq!(tag(&again), tag(&first));
            assert_eq!(again.headers["cache-control"], "private, no-cache");
        }
        ask(&world, path, Some("W/\"0123456789abcdef\"")).await.expect(200);
    }
    let (list, one) = (ask(&world, "thing", None).await, ask(&world, "thing/a", None).await);
    // The log goes on with something that neither shows.
    folded.change("c", json!({"name": "invisible"}));
    folded.write().await;
    for (path, known) in [("thing", &list), ("thing/a", &one)] {
        ask(&world, path, Some(tag(known))).await.expect(304);
    }
    folded.change("a", json!({"name": "two"}));
    folded.write().await;
    for (path, known) in [("thing", &list), ("thing/a", &one)] {
        let changed = ask(&world, path, Some(tag(known))).await;
        assert_eq!(changed.expect(200).json["asOf"], 4);
        assert_ne!(tag(&changed), tag(known));
    }
    ask(&world, "thing/c", Some("*")).await.expect_refusal(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_are_told_whose_answer_it_is_and_keep_no_refusal() {
    let world = options().start().await;
    let page = ask(&world, "thing", None).await;
    assert_eq!(page.headers["cache-control"], "private, no-cache");
    let vary: Vec<_> = page.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(vary.join(",").to_lowercase().contains("authorization"), "{vary:?}");
    let refused = ask(&world, "thing/a", None).await;
    assert_eq!(refused.expect(404).headers["cache-control"], "no-store");
}
