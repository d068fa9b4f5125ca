//! The least version of the app that is served.

use reqwest::Method;
use tidelog_tests::{Answer, WorldOptions, token};

use super::line::{ask, connect};

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_too_old_is_told_so_before_it_has_sent_anything() {
    let world = WorldOptions::default().set("gateway.min_client_version", "2.10.0").start().await;
    let call = async |path: &str, version: Option<&str>| {
        let request = world.request(Method::GET, path, "ann");
        Answer::of(match version {
            Some(version) => request.header("Tidelog-Client-Version", version),
            None => request,
        })
        .await
    };
    call("/v1/schema", Some("2.9.9")).await.expect_refusal(426, "client-too-old");
    call("/v1/schema?clientVersion=2.9.9", None).await.expect_refusal(426, "client-too-old");
    call("/v1/schema", Some("two")).await.expect_refusal(400, "request-invalid");
    call("/v1/schema", Some("2.10")).await.expect(200);
    call("/v1/schema", Some("2.14.0-beta")).await.expect(200);
    call("/v1/schema", None).await.expect(200);
    call("/openapi.json", Some("1")).await.expect(200);

    let head = format!(
        "POST /v1/spaces/me/events HTTP/1.1\r\nHost: tidelog\r\nTidelog-Client-Version: 1.0\r\n\
         Authorization: Bearer {}\r\nContent-Length: 1000000\r\n\r\n",
        token("ann")
    );
    let answer = ask(&mut connect(world.address).await, &head, "client-too-old\"").await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}
