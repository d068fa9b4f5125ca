//! Genuine tokens that are not for here, or not for now.

use std::time::Duration;

use tidelog_cli::token::{Claims, KeyAlgorithm};
use tidelog_runtime::clock::Clock;
use tidelog_tests::{SECRET, WorldOptions};

use super::asking::{claims, expect_refused, expect_valid, jwks, key};

const AUDIENCE: &str = "https://sync.example";
const ISSUER: &str = "https://issuer.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_for_this_service_and_by_its_issuer() {
    let options = WorldOptions::default().set("auth.audience", AUDIENCE).set("auth.issuer", ISSUER);
    let world = options.start().await;
    let sign = |aud: serde_json::Value, iss: &str| {
        let mut json = serde_json::to_value(claims(&world)).unwrap();
        (json["aud"], json["iss"]) = (aud, iss.into());
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &json, &key).unwrap()
    };
    expect_valid(&world, &sign(AUDIENCE.into(), ISSUER)).await;
    expect_valid(&world, &sign(vec!["other", AUDIENCE].into(), ISSUER)).await;
    let command = Claims { aud: Some(AUDIENCE.to_owned()), iss: Some(ISSUER.to_owned()), ..claims(&world) };
    expect_valid(&world, &command.sign(SECRET).unwrap()).await;
    expect_refused(&world, &sign("other".into(), ISSUER), "`aud` does not name").await;
    expect_refused(&world, &sign(vec!["other"].into(), ISSUER), "`aud` does not name").await;
    expect_refused(&world, &sign(AUDIENCE.into(), "https://issuer.example/"), "`iss` is not").await;
    expect_refused(&world, &claims(&world).sign(SECRET).unwrap(), "`iss` is not").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_by_any_key_begins_and_ends_by_the_services_clock_with_some_leeway() {
    let (clock, time) = Clock::manual(Clock::system().now());
    let key = key(KeyAlgorithm::EdDsa, "key");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, jwks(&[&key])).unwrap();
    let options = WorldOptions::default().clock(clock).set("auth.jwks_file", file.display());
    let world = options.set("auth.leeway_seconds", 10).set("auth.require_exp", true).start().await;
    let now = world.clock.now().0 / 1000;
    let with = |times: serde_json::Value| {
        let mut json = times;
        json["sub"] = "ann".into();
        key.sign(&json).unwrap()
    };
    let hour = with(serde_json::json!({"nbf": now, "exp": now + 3600}));
    expect_valid(&world, &hour).await;
    expect_refused(&world, &with(serde_json::json!({"nbf": now})), "no `exp`").await;
    expect_refused(&world, &with(serde_json::json!({"exp": now - 11})), "has expired").await;
    expect_refused(&world, &with(serde_json::json!({"nbf": now + 12, "exp": now + 20})), "not valid yet")
        .await;
    expect_valid(&world, &with(serde_json::json!({"nbf": now + 10, "exp": now + 20}))).await;
    time.advance(Duration::from_secs(3608));
    expect_valid(&world, &hour).await;
    time.advance(Duration::from_secs(4));
    expect_refused(&world, &hour, "has expired").await;
}
