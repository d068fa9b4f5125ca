//! A request with a token, and what becomes of it.

use reqwest::Method;
use tidelog_cli::token::{Claims, KeyAlgorithm, PrivateKey};
use tidelog_tests::{Answer, World};

/// Long enough for the manual clocks of these tests.
const HOURS: u64 = 10_000;

/// A new key of that name.
pub fn key(algorithm: KeyAlgorithm, kid: &str) -> PrivateKey {
    PrivateKey::generate(algorithm).unwrap().with_kid(Some(kid.to_owned()))
}

/// A JWK Set of their public parts.
pub fn jwks(keys: &[&PrivateKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk().unwrap()).collect();
    serde_json::json!({"keys": keys}).to_string()
}

/// Ann's token by that key, by the world's clock.
pub fn token(world: &World, key: &PrivateKey) -> String {
    key.sign(&claims(world)).unwrap()
}

/// Ann's claims, by the world's clock.
pub fn claims(world: &World) -> Claims {
    Claims::from_time(world.clock.now(), "ann", HOURS)
}

/// What a request with that token is answered.
pub async fn ask(world: &World, token: &str) -> Answer {
    Answer::of(world.request_with(Method::GET, "/v1/schema", Some(token))).await
}

/// Asserts that the token is valid.
pub async fn expect_valid(world: &World, token: &str) {
    ask(world, token).await.expect(200);
}

/// Asserts that the token is refused, and for which reason.
pub async fn expect_refused(world: &World, token: &str, why: &str) {
    let answer = ask(world, token).await;
    answer.expect_refusal(401, "unauthorized");
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.starts_with("the token is not valid: ") && detail.contains(why), "{why}: {detail}");
}

/// Asserts that nobody knows yet whether the token is valid.
pub async fn expect_postponed(world: &World, token: &str) {
    let answer = ask(world, token).await;
    answer.expect_refusal(503, "overloaded");
    assert!(answer.headers.contains_key("retry-after"));
}
