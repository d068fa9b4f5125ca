//! Every answer names its request, so that a caller and an operator speak of the same one.

use reqwest::Method;
use serde_json::json;
use tidelog_tests::{Answer, Batch, World, WorldOptions};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn named(answer: &Answer) -> &str {
    answer.headers["tidelog-request-id"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_request_id_and_a_problem_says_it_too() {
    let world = World::new().await;
    let good = world.push("ann", &Batch::new("phone-1", 1, 1)).await;
    good.expect_committed(Some((1, 1)));
    let again = world.pull("ann", "after=0").await;
    assert_ne!(named(&good), named(&again), "each request has its own");
    assert!(named(&good).len() == 32 && !named(&good).starts_with("0000"), "{}", named(&good));

    let no_token = world.request_with(Method::GET, "/v1/spaces/me/log", None);
    let admin = world.admin_request(Method::GET, "/admin/v1/spaces/nobody", "none");
    for (request, code) in [
        (no_token, 401),
        (world.request(Method::GET, "/no/such/path", "ann"), 404),
        (world.request(Method::DELETE, "/v1/schema", "ann"), 405),
        (world.request(Method::GET, &format!("/{}", "x".repeat(9000)), "ann"), 400),
        (world.request(Method::GET, "/v1/spaces/me/log?after=x", "ann"), 400),
        (world.request(Method::GET, "/v1/spaces/me/live", "ann"), 400),
        (admin, 403),
    ] {
        let answer = Answer::of(request).await;
        answer.expect(code);
        assert_eq!(answer.json["requestId"], named(&answer), "{}", answer.json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_the_server_gives_up_has_an_id_too() {
    let world = WorldOptions::default().set("server.request_timeout_ms", 200).start().await;
    let request = world.request(Method::GET, "/v1/spaces/me/log?wait=30", "ann");
    let answer = Answer::of(request.header("Tidelog-Request-Id", "mine")).await;
    answer.expect_refusal(408, "request-timeout");
    assert_eq!((named(&answer), &answer.json["requestId"]), ("mine", &json!("mine")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_is_the_callers_own_or_its_traces() {
    let world = World::new().await;
    let asked = async |id: Option<&str>, traceparent: Option<&str>| {
        let mut request = world.request(Method::GET, "/v1/schema", "ann");
        for (name, value) in [("Tidelog-Request-Id", id), ("traceparent", traceparent)] {
            request = value.into_iter().fold(request, |request, value| request.header(name, value));
        }
        named(&Answer::of(request).await).to_owned()
    };
    assert_eq!(asked(Some("order-7.retry_2"), Some(PARENT)).await, "order-7.retry_2");
    assert_eq!(asked(None, Some(PARENT)).await, TRACE_ID);
    let long = "x".repeat(65);
    for invalid in ["", "a b", "a\"b", long.as_str()] {
        assert_eq!(asked(Some(invalid), Some(PARENT)).await, TRACE_ID, "{invalid}");
    }
    assert_ne!(asked(Some("a/b"), None).await, "a/b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_among_many_names_the_request() {
    let world = World::new().await;
    let body = json!({"batches": [{"space": "ann", "batch": {"deviceId": "phone-1", "events": []}}]});
    let request = world.backend_request(Method::POST, "/v1/batches");
    let answer = Answer::of(request.json(&body)).await;
    answer.expect(200);
    let problem = &answer.json["results"][0]["problem"];
    assert!(problem["code"].is_string(), "{}", answer.json);
    assert_eq!(problem["requestId"], named(&answer));
}
