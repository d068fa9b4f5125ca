//! Tokens of every algorithm, by keys from a secret, a file and a URL at once.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tidelog_cli::token::KeyAlgorithm;
use tidelog_tests::{Batch, SECRET, WorldOptions};

use super::asking::{claims, expect_refused, expect_valid, jwks, key, token};
use super::issuer::{Issuer, Manner};

const FILE_SECRET: &str = "another secret of at least 32 bytes";

#[tokio::test(flavor = "multi_thread")]
async fn each_algorithm_is_taken_by_keys_of_each_source() {
    let of_file = [KeyAlgorithm::Rs256, KeyAlgorithm::Es256, KeyAlgorithm::EdDsa]
        .map(|algorithm| key(algorithm, algorithm.name()));
    let of_url = [KeyAlgorithm::Rs256, KeyAlgorithm::Es256, KeyAlgorithm::EdDsa]
        .map(|algorithm| key(algorithm, &format!("{}-of-url", algorithm.name())));
    let mut set: Value = serde_json::from_str(&jwks(&of_file.each_ref())).unwrap();
    let secret = json!({"kty": "oct", "kid": "secret", "k": BASE64URL_NOPAD.encode(FILE_SECRET.as_bytes())});
    set["keys"].as_array_mut().unwrap().push(secret);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, set.to_string()).unwrap();
    let issuer = Issuer::new(Manner::Body(jwks(&of_url.each_ref()))).await;
    let world = WorldOptions::default()
        .set("auth.jwks_file", file.display())
        .set("auth.jwks_url", &issuer.url)
        .start()
        .await;
    for key in of_file.iter().chain(&of_url) {
        expect_valid(&world, &token(&world, key)).await;
        let unnamed = key.sign_with_header(&json!({"alg": key.algorithm().name()}), &claims(&world)).unwrap();
        expect_valid(&world, &unnamed).await;
    }
    expect_valid(&world, &claims(&world).sign(SECRET).unwrap()).await;
    expect_valid(&world, &claims(&world).sign(FILE_SECRET).unwrap()).await;
    // Other keys of the same names are other keys.
    for impostor in [KeyAlgorithm::Rs256, KeyAlgorithm::Es256, KeyAlgorithm::EdDsa] {
        let impostor = key(impostor, impostor.name());
        expect_refused(&world, &token(&world, &impostor), "signature is not by a key").await;
    }
    // All of them name the same user, whose space they open.
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect_committed(Some((1, 1)));
    let url = "/v1/spaces/me/log";
    let pull = world.request_with(reqwest::Method::GET, url, Some(&token(&world, &of_file[0])));
    let answer = tidelog_tests::Answer::of(pull).await;
    assert_eq!(answer.expect(200).json["head"], 1);
}
