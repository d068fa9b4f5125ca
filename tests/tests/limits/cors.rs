//! Which web pages may call from a browser.

use std::net::SocketAddr;

use reqwest::{Client, Method};
use tidelog_tests::{Answer, World, WorldOptions};

async fn preflight(address: SocketAddr, origin: &str) -> Answer {
    let request = Client::new().request(Method::OPTIONS, format!("http://{address}/v1/spaces/me/events"));
    let request = request.header("Origin", origin).header("Access-Control-Request-Method", "POST");
    Answer::of(request.header("Access-Control-Request-Headers", "authorization,tidelog-client-version")).await
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_configured_origin_may_call_and_read_refusals_and_others_may_not() {
    let origins = "https://app.example, http://localhost:5173";
    let world = WorldOptions::default().set("cors.origins", origins).start().await;
    let answer = preflight(world.address, "https://app.example").await;
    answer.expect(200);
    assert_eq!(allowed(&answer), Some("https://app.example"));
    let header = |name: &str| answer.headers[name].to_str().unwrap().to_lowercase();
    assert!(header("access-control-allow-headers").contains("tidelog-client-version"));
    assert!(header("access-control-allow-headers").contains("tidelog-request-id"));
    assert!(header("access-control-allow-methods").contains("post"));
    assert_eq!(header("access-control-max-age"), "3600");
    assert_eq!(allowed(&preflight(world.address, "https://evil.example").await), None);
    assert_eq!(allowed(&preflight(world.admin_address, "https://app.example").await), None);

    let pull = world.request_with(Method::GET, "/v1/spaces/me/log", None);
    let refused = Answer::of(pull.header("Origin", "http://localhost:5173")).await;
    refused.expect_refusal(401, "unauthorized");
    assert_eq!(allowed(&refused), Some("http://localhost:5173"));
    let exposed = refused.headers["access-control-expose-headers"].to_str().unwrap().to_lowercase();
    assert!(exposed.contains("retry-after") && exposed.contains("tidelog-request-id"), "{exposed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_origins_no_page_may_call() {
    let world = World::new().await;
    assert_eq!(allowed(&preflight(world.address, "https://app.example").await), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_origin_may_be_allowed() {
    let world = WorldOptions::default().set("cors.origins", "*").start().await;
    assert_eq!(allowed(&preflight(world.address, "https://any.example").await), Some("*"));
}
