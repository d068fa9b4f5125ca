//! Tokens that somebody makes who has only what is public.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tidelog_cli::token::{KeyAlgorithm, PrivateKey};
use tidelog_tests::{SECRET, World, WorldOptions};

use super::asking::{claims, expect_refused, expect_valid, key, token};

/// A key of 1024 bits, and a token of ann's by it that never ends (`alg` RS256, `kid` weak).
const WEAK_MODULUS: &str = "2KJl4Kiz-WSaYUnoZpXzG4mYuwXjWno1lo1aHOBTHtQz-KgdQFiW9lAdEmu9U0vsqi7ShrM58-Sj8NoSYnj_5-AQWGzoHQP_QhATBTB5SYpiBZhNXQRcr7P-87aKIF2riO8q-3XVS0Wzkrk8Dxw5qhyi9jtLYqmW8PrYe-SWWNc";
const BY_THE_WEAK_KEY: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IndlYWsifQ.eyJzdWIiOiJhbm4iLCJleHAiOjQwMDAwMDAwMDB9.Gvv7uyzGnpnEHGFYu1x1eGQh3VTqiElTl1LcyWMFaKoZxDibWwABUFLgYiO3h_KI2g85Cz6DlrKmAtcmFqSTVZd_Tt_1AKN1QqAMvBtjV1ngw99QcBwrH9Qn59Ia82M5ZZQRXc4GAIL0_6uw7lwv1AkVtLdfpyOjdeij-WjxSWk";

fn message(world: &World, header: &Value) -> String {
    let part = |json: String| BASE64URL_NOPAD.encode(json.as_bytes());
    format!("{}.{}", part(header.to_string()), part(serde_json::to_string(&claims(world)).unwrap()))
}

/// A token whose signature is the HMAC with what is public.
fn hmac(world: &World, header: &Value, public: &[u8]) -> String {
    let message = message(world, header);
    let key = EncodingKey::from_secret(public);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

async fn world_with(keys: &[Value]) -> (World, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, json!({"keys": keys}).to_string()).unwrap();
    (WorldOptions::default().set("auth.jwks_file", file.display()).start().await, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_who_knows_only_what_is_public_makes_no_valid_token() {
    let [rsa, ec, ed] = [KeyAlgorithm::Rs256, KeyAlgorithm::Es256, KeyAlgorithm::EdDsa]
        .map(|algorithm| key(algorithm, algorithm.name()));
    let public = rsa.jwk().unwrap();
    let (world, _folder) = world_with(&[public.clone(), ec.jwk().unwrap(), ed.jwk().unwrap()]).await;
    expect_valid(&world, &token(&world, &rsa)).await;
    let modulus = public["n"].as_str().unwrap();
    let forms = [
        public.to_string().into_bytes(),
        modulus.as_bytes().to_vec(),
        BASE64URL_NOPAD.decode(modulus.as_bytes()).unwrap(),
        rsa.public_pem().into_bytes(),
    ];
    for form in &forms {
        let named = hmac(&world, &json!({"alg": "HS256", "kid": "RS256"}), form);
        expect_refused(&world, &named, "not for its `alg`").await;
        let unnamed = hmac(&world, &json!({"alg": "HS256"}), form);
        expect_refused(&world, &unnamed, "signature is not by a key").await;
        let renamed = hmac(&world, &json!({"alg": "RS256", "kid": "RS256"}), form);
        expect_refused(&world, &renamed, "signature is not by a key").await;
    }
    for none in ["none", "None", "NONE", "nOnE", ""] {
        for header in [json!({"alg": none}), json!({"alg": none, "kid": "RS256"})] {
            expect_refused(&world, &format!("{}.", message(&world, &header)), "`alg` is none of").await;
            expect_refused(
                &world,
                &rsa.sign_with_header(&header, &claims(&world)).unwrap(),
                "`alg` is none of",
            )
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_a_header_that_does_not_fit_the_key_makes_no_valid_token() {
    let [rsa, ec] =
        [KeyAlgorithm::Rs256, KeyAlgorithm::Es256].map(|algorithm| key(algorithm, algorithm.name()));
    let weak = json!({"kty": "RSA", "kid": "weak", "n": WEAK_MODULUS, "e": "AQAB"});
    let mut encrypting = key(KeyAlgorithm::Es256, "encrypting").jwk().unwrap();
    encrypting["use"] = json!("enc");
    let (world, _folder) = world_with(&[rsa.jwk().unwrap(), ec.jwk().unwrap(), weak, encrypting]).await;
    let with = |key: &PrivateKey, header: Value| key.sign_with_header(&header, &claims(&world)).unwrap();
    expect_valid(&world, &with(&rsa, json!({"alg": "RS256", "kid": "RS256"}))).await;
    for (header, why) in [
        (json!({"alg": "RS256", "kid": "ES256"}), "not for its `alg`"),
        (json!({"alg": "ES256", "kid": "RS256"}), "not for its `alg`"),
        (json!({"alg": "ES256"}), "signature is not by a key"),
        (json!({"alg": "RS512", "kid": "RS256"}), "`alg` is none of"),
        (json!({"alg": "RS256", "kid": "rs256"}), "names no key"),
        (json!({"alg": "RS256", "kid": ""}), "names no key"),
        (json!({"alg": "RS256", "kid": "weak"}), "names no key"),
        (json!({"alg": "RS256", "kid": "encrypting"}), "names no key"),
        (json!({"alg": "RS256", "kid": "RS256", "crit": ["exp"]}), "`crit`"),
        (json!({"alg": "RS256", "kid": "RS256", "crit": []}), "`crit`"),
        (json!({"alg": "RS256", "kid": 5}), "no signed JWT"),
        (json!({"kid": "RS256"}), "no signed JWT"),
    ] {
        expect_refused(&world, &with(&rsa, header), why).await;
    }
    expect_refused(&world, BY_THE_WEAK_KEY, "names no key").await;
    // A key that the token itself brings is nobody's.
    let own = key(KeyAlgorithm::Es256, "own");
    let brought =
        with(&own, json!({"alg": "ES256", "jwk": own.jwk().unwrap(), "jku": "http://127.0.0.1:1/"}));
    expect_refused(&world, &brought, "signature is not by a key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_a_greatest_length() {
    let world = WorldOptions::default().set("auth.token_bytes", 300).start().await;
    expect_valid(&world, &claims(&world).sign(SECRET).unwrap()).await;
    let long = claims(&world).with_scope(&"word ".repeat(50)).sign(SECRET).unwrap();
    expect_refused(&world, &long, "more than 300 bytes").await;
}
