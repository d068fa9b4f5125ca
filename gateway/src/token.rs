//! Tokens: whether one is valid now, and whom it names.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tidelog_events::code::Refusal;
use tidelog_events::id::{SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;

use crate::auth::{Access, Caller};
use crate::config::AuthConfig;
use crate::problem::Problem;

/// The least bytes of an HS256 secret (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// The configured secret is too short.
#[derive(Debug, thiserror::Error)]
#[error("auth.hs256_secret must have at least {SECRET_BYTES_MIN} bytes")]
pub struct WeakSecret;

/// Verifies tokens. Clones share what they verify by: each request takes one.
#[derive(Clone)]
pub struct Verifier {
    rules: Arc<TokenRules>,
}

struct TokenRules {
    key: Option<DecodingKey>,
    validation: Validation,
    leeway_seconds: f64,
    clock: Clock,
}

impl Verifier {
    /// With an empty secret no token is valid.
    pub fn new(config: &AuthConfig, clock: Clock) -> Result<Self, WeakSecret> {
        let secret = config.hs256_secret.expose().as_bytes();
        if !secret.is_empty() && secret.len() < SECRET_BYTES_MIN {
            return Err(WeakSecret);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are checked by our own clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let key = (!secret.is_empty()).then(|| DecodingKey::from_secret(secret));
        let leeway_seconds = config.leeway_seconds as f64;
        Ok(Self { rules: Arc::new(TokenRules { key, validation, leeway_seconds, clock }) })
    }

    /// The caller that the token names.
    pub fn verify(&self, token: &str) -> Result<Caller, Problem> {
        let refuse =
            |why: &str| Problem::new(Refusal::Unauthorized, format!("the token is not valid: {why}"));
        let TokenRules { key, validation, leeway_seconds, clock } = &*self.rules;
        let key = key.as_ref().ok_or_else(|| refuse("no key is configured"))?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, validation)
            .map_err(|error| refuse(&error.to_string()))?
            .claims;
        claims.check_times(clock.now(), *leeway_seconds).map_err(refuse)?;
        let own = SpaceId::new(claims.sub.as_str()).map_err(|error| refuse(&format!("`sub`: {error}")))?;
        Ok(Caller { user: claims.sub, own, spaces: claims.spaces, scope: claims.scope })
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: UserId,
    #[serde(default)]
    spaces: BTreeMap<String, Access>,
    #[serde(default)]
    scope: String,
    /// Seconds since 1970, perhaps with a fraction (RFC 7519, section 2); so is `nbf`.
    exp: Option<f64>,
    nbf: Option<f64>,
}

impl Claims {
    /// Why the token is not valid at this time.
    fn check_times(&self, now: UtcTime, leeway_seconds: f64) -> Result<(), &'static str> {
        let now = now.0 as f64 / 1000.0;
        if self.exp.is_some_and(|exp| exp < now - leeway_seconds) {
            return Err("it has expired");
        }
        if self.nbf.is_some_and(|nbf| nbf > now + leeway_seconds) {
            return Err("it is not valid yet");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_from_nbf_through_exp_and_some_leeway() {
        let check = |claims: &str, valid: Result<(), &'static str>| {
            let claims: Claims = serde_json::from_str(claims).unwrap();
            assert_eq!(claims.check_times(UtcTime(1_000_500), 30.0), valid);
        };
        let (expired, early) = (Err("it has expired"), Err("it is not valid yet"));
        check(r#"{"sub":"ann"}"#, Ok(()));
        check(r#"{"sub":"ann","exp":1001,"nbf":1000}"#, Ok(()));
        check(r#"{"sub":"ann","exp":971}"#, Ok(()));
        check(r#"{"sub":"ann","exp":970.4}"#, expired);
        check(r#"{"sub":"ann","exp":-1}"#, expired);
        check(r#"{"sub":"ann","nbf":1030}"#, Ok(()));
        check(r#"{"sub":"ann","nbf":1031}"#, early);
        for no_time in [r#""1000""#, "true", "1e400"] {
            let claims = format!(r#"{{"sub":"ann","exp":{no_time}}}"#);
            assert!(serde_json::from_str::<Claims>(&claims).is_err(), "{no_time}");
        }
    }
}
