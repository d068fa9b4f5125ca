//! Tokens of every kind.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tidelog_tests::{SECRET, World};

/// A token of user `sub` with more claims, that ends in an hour.
pub fn valid(world: &World, sub: &str, more: &Value) -> String {
    let mut claims = json!({"sub": sub, "exp": world.clock.now().0 / 1000 + 3600});
    for (key, value) in more.as_object().into_iter().flatten() {
        claims[key] = value.clone();
    }
    signed(&claims, SECRET)
}

/// What is no token: every operation answers it alike.
pub fn invalid(world: &World) -> [(&'static str, Option<String>); 5] {
    let now = world.clock.now().0 / 1000;
    let everything = json!({"sub": "ann", "exp": now + 3600, "scope": "admin", "spaces": {"*": "rw"}});
    let mut expired = everything.clone();
    expired["exp"] = json!(now - 3600);
    let claims = signed(&everything, SECRET).split('.').nth(1).unwrap().to_owned();
    // {"alg":"none","typ":"JWT"}
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    [
        ("no token", None),
        ("an expired token", Some(signed(&expired, SECRET))),
        ("a token of another key", Some(signed(&everything, "another secret of 32 bytes or more"))),
        ("a token with alg none", Some(none)),
        ("a token that was altered", Some(signed(&everything, SECRET).replace('.', ".e30"))),
    ]
}

fn signed(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}
