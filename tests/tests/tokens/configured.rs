//! A configuration of tokens that cannot be right, which the gateway does not start with.

use tidelog_gateway::{AuthConfig, Verifier};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{Config, Sources};

/// What an operator reads, or nothing if the gateway would start.
fn complaint(settings: &[(&str, &str)]) -> Option<String> {
    let variable = |key: &str| format!("TIDELOG__AUTH__{}", key.to_uppercase());
    let environment = settings.iter().map(|(key, value)| (variable(key), (*value).to_owned())).collect();
    let config = Config::load(&Sources { file: None, environment }).unwrap();
    match config.section::<AuthConfig>("auth") {
        Ok(auth) => Verifier::new(&auth, Clock::system()).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn what_cannot_be_right_is_named() {
    let broken = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (settings, key) in [
        (&[("hs256_secret", "too short")][..], "auth.hs256_secret"),
        (&[("jwks_file", "/there/is/no/such/file")], "auth.jwks_file"),
        (&[("jwks_file", broken)], "auth.jwks_file"),
        (&[("jwks_url", "issuer.example")], "auth.jwks_url"),
        (&[("jwks_url", "http://issuer.example/jwks")], "auth.jwks_url"),
        (&[("jwks_url", "https://user:password@issuer.example/jwks")], "auth.jwks_url"),
        (
            &[("jwks_url", "https://issuer.example/jwks"), ("jwks_stale_seconds", "299")],
            "auth.jwks_stale_seconds",
        ),
        (&[("jwks_refresh_seconds", "0")], "auth.jwks_refresh_seconds"),
        (&[("jwks_cooldown_seconds", "0")], "auth.jwks_cooldown_seconds"),
        (&[("jwks_timeout_ms", "0")], "auth.jwks_timeout_ms"),
        (&[("jwks_bytes", "16777217")], "auth.jwks_bytes"),
        (&[("token_bytes", "65537")], "auth.token_bytes"),
    ] {
        let complaint = complaint(settings).unwrap_or_default();
        assert!(complaint.contains(&format!("`{key}` cannot be used")), "{settings:?}: {complaint}");
        assert!(!complaint.contains("too short") && !complaint.contains("password@"), "{complaint}");
    }
}

#[test]
fn what_may_be_right_is_taken() {
    for settings in [
        &[][..],
        &[("jwks_url", "https://issuer.example/jwks")],
        &[("jwks_url", "http://localhost:9/jwks")],
        &[("jwks_url", "http://issuer.example/jwks"), ("jwks_allow_http", "true")],
    ] {
        assert_eq!(complaint(settings), None, "{settings:?}");
    }
}
