//! Keys in a file, which change while the gateway runs.

use std::path::Path;

use tidelog_cli::token::KeyAlgorithm;
use tidelog_tests::{SECRET, World, WorldOptions, eventually};

use super::asking::{ask, claims, expect_refused, expect_valid, jwks, key, token};

/// As a deployment does, so that nobody reads half of it.
fn swap(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, file).unwrap();
}

async fn becomes(world: &World, token: &str, status: u16) {
    eventually(&format!("a token is answered {status}"), async || {
        (ask(world, token).await.status.as_u16() == status).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_file_are_rotated_without_a_restart() {
    let [old, new] = ["old", "new"].map(|kid| key(KeyAlgorithm::EdDsa, kid));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, jwks(&[&old])).unwrap();
    let world = WorldOptions::default().set("auth.jwks_file", file.display()).start().await;
    let (by_old, by_new) = (token(&world, &old), token(&world, &new));
    expect_valid(&world, &by_old).await;
    expect_refused(&world, &by_new, "names no key").await;
    swap(&file, &jwks(&[&old, &new]));
    becomes(&world, &by_new, 200).await;
    expect_valid(&world, &by_old).await;
    swap(&file, &jwks(&[&new]));
    becomes(&world, &by_old, 401).await;
    expect_refused(&world, &by_old, "names no key").await;
    expect_valid(&world, &by_new).await;
    // Nobody's: an empty set is one that says so.
    swap(&file, r#"{"keys": []}"#);
    becomes(&world, &by_new, 401).await;
    expect_valid(&world, &claims(&world).sign(SECRET).unwrap()).await;
}
