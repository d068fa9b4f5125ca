//! A URL of keys that is down, or answers as nobody should.

use std::time::Duration;

use tidelog_cli::token::KeyAlgorithm;
use tidelog_tests::{SECRET, WorldOptions, eventually};

use super::asking::{claims, expect_postponed, expect_refused, expect_valid, jwks, key, token};
use super::issuer::{Issuer, Manner};
use super::url::world_of;

const COOLDOWN: Duration = Duration::from_secs(31);
const STALE: Duration = Duration::from_secs(1000);
/// What of that is left after a cooldown.
const REST: Duration = Duration::from_secs(969);

#[tokio::test(flavor = "multi_thread")]
async fn known_keys_serve_while_the_url_is_down_and_no_longer_than_configured() {
    let [known, new] = ["known", "new"].map(|kid| key(KeyAlgorithm::Rs256, kid));
    let issuer = Issuer::new(Manner::Body(jwks(&[&known]))).await;
    let options = WorldOptions::default().set("auth.jwks_stale_seconds", STALE.as_secs());
    let (world, time) = world_of(&issuer, options).await;
    let (by_known, by_new) = (token(&world, &known), token(&world, &new));
    expect_valid(&world, &by_known).await;
    issuer.answers(Manner::Down);
    time.advance(COOLDOWN);
    expect_postponed(&world, &by_new).await;
    let asked = issuer.asked();
    assert_eq!(asked, 2);
    expect_postponed(&world, &by_new).await;
    assert_eq!(issuer.asked(), asked, "it is not asked again at once");
    expect_valid(&world, &by_known).await;
    time.advance(REST);
    eventually("it is asked again", async || (issuer.asked() > asked).then_some(())).await;
    expect_valid(&world, &by_known).await;
    time.advance(Duration::from_secs(1));
    expect_postponed(&world, &by_known).await;
    expect_valid(&world, &claims(&world).sign(SECRET).unwrap()).await;
    issuer.answers(Manner::Body(jwks(&[&known])));
    time.advance(COOLDOWN);
    expect_valid(&world, &by_known).await;
    expect_refused(&world, &by_new, "names no key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_starts_while_the_url_is_down() {
    let known = key(KeyAlgorithm::Es256, "known");
    let issuer = Issuer::new(Manner::Down).await;
    let (world, time) = world_of(&issuer, WorldOptions::default()).await;
    let by_known = token(&world, &known);
    expect_postponed(&world, &by_known).await;
    expect_valid(&world, &claims(&world).sign(SECRET).unwrap()).await;
    expect_refused(&world, "no.token.this", "no signed JWT").await;
    assert_eq!(issuer.asked(), 1);
    issuer.answers(Manner::Body(jwks(&[&known])));
    time.advance(COOLDOWN);
    expect_valid(&world, &by_known).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_bounded_document_of_keys_changes_nothing() {
    let [known, new] = ["known", "new"].map(|kid| key(KeyAlgorithm::EdDsa, kid));
    let issuer = Issuer::new(Manner::Body(jwks(&[&known]))).await;
    let elsewhere = Issuer::new(Manner::Body(jwks(&[&known, &new]))).await;
    let options = WorldOptions::default().set("auth.jwks_timeout_ms", 500).set("auth.jwks_bytes", 16_384);
    let (world, time) = world_of(&issuer, options).await;
    let (by_known, by_new) = (token(&world, &known), token(&world, &new));
    expect_valid(&world, &by_known).await;
    let too_large = format!("{}{}", jwks(&[&new]), " ".repeat(16_384));
    let too_many: Vec<_> = std::iter::repeat_n(&new, 65).collect();
    let manners = [
        Manner::Status(302, format!("location: {}", elsewhere.url)),
        Manner::Status(307, format!("location: {}", elsewhere.url)),
        Manner::Status(404, "x: y".to_owned()),
        Manner::Status(500, "x: y".to_owned()),
        Manner::Body(too_large),
        Manner::Body(jwks(&too_many)),
        Manner::Body("<html>the service is in maintenance</html>".to_owned()),
        Manner::Body(r#"{"keys": [{"kty": "oct", "kid": "new", "k": "AAAA"}]}"#.to_owned()),
        Manner::Endless,
        Manner::Silent,
        Manner::Down,
    ];
    for (number, manner) in (2..).zip(manners) {
        issuer.answers(manner.clone());
        time.advance(COOLDOWN);
        expect_postponed(&world, &by_new).await;
        expect_valid(&world, &by_known).await;
        // A redirect is not followed, wherever it leads.
        assert_eq!((issuer.asked(), elsewhere.asked()), (number, 0), "{manner:?}");
    }
    issuer.answers(Manner::Body(jwks(&[&new])));
    time.advance(COOLDOWN);
    expect_valid(&world, &by_new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_whose_certificate_nobody_vouches_for_is_not_believed() {
    let known = key(KeyAlgorithm::Es256, "known");
    let issuer = Issuer::with_tls(Manner::Body(jwks(&[&known]))).await;
    let (world, _time) = world_of(&issuer, WorldOptions::default()).await;
    expect_postponed(&world, &token(&world, &known)).await;
    assert_eq!(issuer.asked(), 1);
}
