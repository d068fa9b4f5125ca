//! Keys at a URL: asked for once at start, again and again, and when a token names one that is not known.

use std::time::Duration;

use tidelog_cli::token::{KeyAlgorithm, PrivateKey};
use tidelog_runtime::clock::{Clock, ManualTime};
use tidelog_tests::{SECRET, World, WorldOptions, eventually};

use super::asking::{ask, claims, expect_postponed, expect_refused, expect_valid, jwks, key, token};
use super::issuer::{Issuer, Manner};

/// As configured by default, and a second more.
const COOLDOWN: Duration = Duration::from_secs(31);
const REFRESH: Duration = Duration::from_secs(301);

/// A world whose keys are at the issuer's, and whose time stands.
pub async fn world_of(issuer: &Issuer, options: WorldOptions<'_>) -> (World, ManualTime) {
    let (clock, time) = Clock::manual(Clock::system().now());
    (options.clock(clock).set("auth.jwks_url", &issuer.url).start().await, time)
}

fn keys<const N: usize>(kids: [&str; N]) -> [PrivateKey; N] {
    kids.map(|kid| key(KeyAlgorithm::EdDsa, kid))
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_at_a_url_are_rotated_without_a_restart() {
    let [old, new] = keys(["old", "new"]);
    let issuer = Issuer::new(Manner::Body(jwks(&[&old]))).await;
    let (world, time) = world_of(&issuer, WorldOptions::default()).await;
    let (by_old, by_new) = (token(&world, &old), token(&world, &new));
    // The first token waits until the keys are there.
    expect_valid(&world, &by_old).await;
    assert_eq!(issuer.asked(), 1);
    issuer.answers(Manner::Body(jwks(&[&new])));
    // It was asked a moment ago.
    expect_refused(&world, &by_new, "names no key").await;
    assert_eq!(issuer.asked(), 1);
    time.advance(COOLDOWN);
    expect_valid(&world, &by_old).await;
    assert_eq!(issuer.asked(), 1, "a known key asks for nothing");
    expect_valid(&world, &by_new).await;
    expect_refused(&world, &by_old, "names no key").await;
    assert_eq!(issuer.asked(), 2);
    // Without any token it is asked, too.
    issuer.answers(Manner::Body(jwks(&[&old])));
    time.advance(REFRESH);
    eventually("the keys are refreshed", async || (issuer.asked() == 3).then_some(())).await;
    eventually("the old key is back", async || (ask(&world, &by_old).await.status == 200).then_some(()))
        .await;
    expect_refused(&world, &by_new, "names no key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_with_unknown_keys_do_not_hammer_the_url() {
    let [known, new] = keys(["known", "new"]);
    let issuer = Issuer::new(Manner::Body(jwks(&[&known]))).await;
    let (world, time) = world_of(&issuer, WorldOptions::default()).await;
    expect_valid(&world, &token(&world, &known)).await;
    for round in 1..=3 {
        time.advance(COOLDOWN);
        let asking = (0..40).map(|number| {
            let unknown = token(&world, &known.named(&format!("unknown-{round}-{number}")).unwrap());
            let world = &world;
            async move { expect_refused(world, &unknown, "names no key").await }
        });
        futures_util::future::join_all(asking).await;
        assert_eq!(issuer.asked(), 1 + round, "one fetch for all of them");
    }
    // One fetch serves all who wait for a key that is there by now.
    issuer.answers(Manner::Body(jwks(&[&known, &new])));
    time.advance(COOLDOWN);
    let by_new = token(&world, &new);
    futures_util::future::join_all((0..40).map(|_| expect_valid(&world, &by_new))).await;
    assert_eq!(issuer.asked(), 5);
    // Secrets are not looked for there, nor keys without a name while others are known.
    time.advance(COOLDOWN);
    let no_name = new.sign_with_header(&serde_json::json!({"alg": "RS256"}), &claims(&world)).unwrap();
    expect_refused(&world, &no_name, "no key is configured").await;
    expect_refused(&world, &claims(&world).sign("another secret of 32 bytes or more").unwrap(), "signature")
        .await;
    expect_valid(&world, &claims(&world).sign(SECRET).unwrap()).await;
    assert_eq!(issuer.asked(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_at_a_url_is_no_key() {
    let secret = "a secret that everyone who asks can read";
    let k = data_encoding::BASE64URL_NOPAD.encode(secret.as_bytes());
    let [good, private] = keys(["good", "private"]);
    let mut given_away = private.jwk().unwrap();
    given_away["d"] = "AAAA".into();
    let set = serde_json::json!({"keys": [
        good.jwk().unwrap(), {"kty": "oct", "kid": "secret", "k": k}, given_away,
    ]});
    let issuer = Issuer::new(Manner::Body(set.to_string())).await;
    let (world, _time) = world_of(&issuer, WorldOptions::default()).await;
    expect_valid(&world, &token(&world, &good)).await;
    expect_refused(&world, &claims(&world).sign(secret).unwrap(), "signature is not by a key").await;
    expect_refused(&world, &token(&world, &private), "names no key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_without_a_name_serve_tokens_without_one() {
    let [unnamed] = keys(["x"]);
    let mut jwk = unnamed.jwk().unwrap();
    jwk.as_object_mut().unwrap().remove("kid");
    let set = serde_json::json!({"keys": [jwk]}).to_string();
    let issuer = Issuer::new(Manner::Down).await;
    let (world, time) = world_of(&issuer, WorldOptions::default()).await;
    let by_it = unnamed.sign_with_header(&serde_json::json!({"alg": "EdDSA"}), &claims(&world)).unwrap();
    expect_postponed(&world, &by_it).await;
    issuer.answers(Manner::Body(set));
    time.advance(COOLDOWN);
    expect_valid(&world, &by_it).await;
}
