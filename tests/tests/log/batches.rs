//! `POST /v1/batches`: many spaces in one request, each batch judged and answered for itself.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_cli::token::{Access, Claims};
use tidelog_tests::{Answer, Batch, SECRET, World};

/// A batch of a space's own user.
fn batch(space: &str, first: u64, last: u64) -> Value {
    let batch = Batch::new(&format!("{space}-1"), first, last).with("userId", space);
    json!({"space": space, "batch": batch.json()})
}

async fn push(world: &World, batches: &[Value]) -> Answer {
    let request = world.backend_request(Method::POST, "/v1/batches");
    Answer::of(request.json(&json!({"batches": batches}))).await
}

fn statuses(answer: &Answer) -> Vec<(Value, Value)> {
    let results = answer.expect(200).json["results"].as_array().unwrap();
    results.iter().map(|result| (result["space"].clone(), result["status"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_many_spaces_are_committed_in_their_order_and_answered_one_by_one() {
    let world = World::new().await;
    let batches = [batch("ann", 1, 2), batch("bob", 1, 1), batch("ann", 3, 3), batch("eve", 1, 3)];
    let answer = push(&world, &batches).await;
    let expect = ["ann", "bob", "ann", "eve"].map(|space| (json!(space), json!(200)));
    assert_eq!(statuses(&answer), expect);
    assert_eq!(answer.json["results"][2]["answer"]["first"], 3);
    assert_eq!([world.head("ann").await, world.head("bob").await, world.head("eve").await], [3, 1, 3]);
    let authors: Vec<_> = world.whole_log("ann").await.iter().map(|event| event["userId"].clone()).collect();
    assert_eq!(authors, ["ann", "ann", "ann"]);
    // The whole request again appends nothing.
    let again = push(&world, &batches).await;
    assert_eq!(statuses(&again), expect);
    assert_eq!(again.json["results"][3]["answer"]["receipts"].as_array().unwrap().len(), 3);
    assert_eq!(world.head("eve").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_batch_refuses_itself_alone() {
    let world = World::new().await;
    let unnamed = json!({"space": "bob", "batch": Batch::new("bob-1", 1, 1).json()});
    let gap = json!({"space": "eve", "batch": Batch::new("eve-1", 5, 5).without_after().with("userId", "eve").json()});
    let answer =
        push(&world, &[batch("ann", 1, 1), unnamed, gap, json!({"space": "joe", "batch": {"events": []}})])
            .await;
    let expect = [("ann", 200), ("bob", 400), ("eve", 409), ("joe", 400)];
    assert_eq!(statuses(&answer), expect.map(|(space, status)| (json!(space), json!(status))));
    let codes: Vec<_> =
        (1..4).map(|index| answer.json["results"][index]["problem"]["code"].clone()).collect();
    assert_eq!(codes, ["batch-malformed", "sequence-gap", "batch-malformed"]);
    assert_eq!(answer.json["results"][2]["problem"]["expected"], 1);
    assert_eq!([world.head("ann").await, world.head("bob").await, world.head("eve").await], [1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_token_for_every_space_may_push_for_many() {
    let world = World::new().await;
    let before = world.holdings().await;
    let named = Claims::new("ann", 1).with_space("bob", Access::Rw).sign(SECRET).unwrap();
    let reader = Claims::new("ann", 1).with_space("*", Access::R).sign(SECRET).unwrap();
    for token in [world.token("ann"), named, reader] {
        let request = world.request_with(Method::POST, "/v1/batches", Some(&token));
        let answer = Answer::of(request.json(&json!({"batches": [batch("ann", 1, 1)]}))).await;
        answer.expect_refusal(403, "forbidden");
    }
    assert_eq!(world.holdings().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_read_is_refused_whole() {
    let world = World::new().await;
    let before = world.holdings().await;
    let refused = async |body: &str, content_type: &str, status: u16, code: &str| {
        let request = world.backend_request(Method::POST, "/v1/batches").header("content-type", content_type);
        Answer::of(request.body(body.to_owned())).await.expect_refusal(status, code);
    };
    refused("nonsense", "application/json", 400, "batch-malformed").await;
    refused("{\"batches\":7}", "application/json", 400, "batch-malformed").await;
    refused("{\"batches\":[],\"more\":1}", "application/json", 400, "batch-malformed").await;
    refused("{\"batches\":[{\"space\":\"\",\"batch\":{}}]}", "application/json", 400, "batch-malformed")
        .await;
    refused("{}", "application/x-ndjson", 415, "unsupported-media-type").await;
    let item = "{\"space\":\"a\",\"batch\":{}}";
    let many = format!("{{\"batches\":[{}]}}", vec![item; 1001].join(","));
    refused(&many, "application/json", 413, "body-too-large").await;
    let empty = push(&world, &[]).await;
    assert_eq!(empty.expect(200).json, json!({"results": []}));
    assert_eq!(world.holdings().await, before);
}
