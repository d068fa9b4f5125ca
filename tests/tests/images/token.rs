//! The script that makes tokens for the stack of containers makes such as the gateway takes.

use std::process::Command;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use tidelog_cli::token::Claims;

use super::repository::root;

/// Characters that a shell, a URL or JSON would take for something else.
const SECRET: &str = "0123456789 $abc'\"\\&%=0123456789abcdef";

fn token(arguments: &[&str]) -> Claims {
    let mut command = Command::new(root().join("deploy/compose/token"));
    let output = command.args(arguments).env("TIDELOG_JWT_SECRET", SECRET).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token = String::from_utf8(output.stdout).unwrap();
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    decode::<Claims>(token.trim_end(), &key, &Validation::new(Algorithm::HS256)).unwrap().claims
}

#[test]
fn it_is_signed_with_the_secret_and_names_the_user_and_the_scope() {
    let claims = token(&["user-1"]);
    assert_eq!((claims.sub.as_str(), claims.scope), ("user-1", None));
    assert_eq!(claims.exp - claims.iat, 86_400);
    let claims = token(&["ana \"of\" Köln", "admin:read"]);
    assert_eq!((claims.sub.as_str(), claims.scope.as_deref()), ("ana \"of\" Köln", Some("admin:read")));
}
