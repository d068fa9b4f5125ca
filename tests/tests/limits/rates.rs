//! How often one may call: by address, by user, by backend.

use reqwest::{Client, Method};
use tidelog_tests::{Answer, Batch, World, WorldOptions, eventually};

use super::line::{ask, connect};

async fn open(world: &World) -> Answer {
    Answer::of(world.request_with(Method::GET, "/openapi.json", None)).await
}

fn seconds(answer: &Answer) -> u64 {
    answer.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_calls_too_often_is_told_how_long_to_wait_and_then_served() {
    let options = WorldOptions::default().set("rates.address_per_second", 1);
    let world = options.set("rates.address_burst", 3).start().await;
    for _ in 0..3 {
        open(&world).await.expect(200);
    }
    let refused = open(&world).await;
    refused.expect_refusal(429, "rate-limited");
    assert_eq!(seconds(&refused), 1);
    eventually("the address is served again", async || (open(&world).await.status == 200).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_frequent_a_push_is_refused_before_its_body_comes() {
    let options = WorldOptions::default().set("rates.address_per_second", 1);
    let world = options.set("rates.address_burst", 1).start().await;
    open(&world).await.expect(200);
    let head = "POST /v1/spaces/me/events HTTP/1.1\r\nHost: tidelog\r\nContent-Type: application/x-ndjson\r\n\
                Content-Length: 1000000\r\n\r\n";
    let answer = ask(&mut connect(world.address).await, head, "rate-limited\"").await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_limited_on_all_devices_together_and_others_are_not() {
    let options = WorldOptions::default().set("rates.user_per_second", 1);
    let world = options.set("rates.user_burst", 2).start().await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    world.push("ann", &Batch::new("phone-2", 1, 1)).await.expect(200);
    let refused = world.pull("ann", "after=0").await;
    refused.expect_refusal(429, "rate-limited");
    assert!(seconds(&refused) >= 1);
    world.pull("bob", "after=0").await.expect(200);
    for _ in 0..5 {
        Answer::of(world.backend_request(Method::GET, "/v1/spaces/ann/log?after=0")).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_backend_has_a_rate_of_its_own_and_not_its_addresss() {
    let options = WorldOptions::default().set("rates.backend_per_second", 1).set("rates.backend_burst", 2);
    let options = options.set("rates.address_per_second", 1).set("rates.address_burst", 1);
    let world = options.start().await;
    open(&world).await.expect(200);
    let read = async || Answer::of(world.backend_request(Method::GET, "/v1/spaces/ann/log?after=0")).await;
    read().await.expect(200);
    read().await.expect(200);
    read().await.expect_refusal(429, "rate-limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_tokens_is_stopped_after_a_few() {
    let options = WorldOptions::default().set("rates.address_per_second", 1);
    let world = options.set("rates.address_burst", 25).start().await;
    let guess = async |token: &str| {
        Answer::of(world.request_with(Method::GET, "/v1/spaces/me/log?after=0", Some(token))).await
    };
    guess("garbage").await.expect_refusal(401, "unauthorized");
    guess("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.AAAA").await.expect_refusal(401, "unauthorized");
    let refused = guess("more.garbage.still").await;
    refused.expect_refusal(429, "rate-limited");
    assert!(seconds(&refused) > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_proxy_is_believed_whom_it_passes_on() {
    let options = WorldOptions::default().set("rates.address_per_second", 1).set("rates.address_burst", 1);
    let world = options.set("server.trusted_proxies", "127.0.0.2").start().await;
    let client = |local: &str| Client::builder().local_address(Some(local.parse().unwrap())).build().unwrap();
    let (proxy, untrusted) = (client("127.0.0.2"), client("127.0.0.3"));
    let call = async |client: &Client, hops: &str| {
        let request = client.get(format!("http://{}/openapi.json", world.address));
        Answer::of(request.header("X-Forwarded-For", hops)).await.status.as_u16()
    };
    assert_eq!(call(&untrusted, "198.51.100.1").await, 200);
    assert_eq!(call(&untrusted, "198.51.100.2").await, 429, "its own word does not help");
    assert_eq!(call(&proxy, "198.51.100.1").await, 200);
    assert_eq!(call(&proxy, "198.51.100.1").await, 429);
    assert_eq!(call(&proxy, "6.6.6.6, 198.51.100.1").await, 429, "nor what it wrote itself");
    assert_eq!(call(&proxy, "198.51.100.2").await, 200);
}
