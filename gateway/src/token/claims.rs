//! What a token says, once its signature is checked: whether that holds here and now, and whom it names.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidelog_events::id::{DeviceId, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;

use super::fault::TokenFault;
use crate::auth::{Access, Caller};
use crate::config::AuthConfig;

/// What is asked of each token.
pub(super) struct ClaimRules {
    /// What `aud` must name; `None` for anything.
    audience: Option<String>,
    /// What `iss` must be, likewise.
    issuer: Option<String>,
    leeway_seconds: f64,
    require_exp: bool,
}

#[derive(Deserialize)]
struct Claims {
    sub: UserId,
    #[serde(default)]
    spaces: BTreeMap<String, Access>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    device: Option<DeviceId>,
    /// Seconds since 1970, perhaps with a fraction (RFC 7519, section 2); so is `nbf`.
    exp: Option<f64>,
    nbf: Option<f64>,
    aud: Option<Audience>,
    iss: Option<String>,
}

/// One or several (RFC 7519, section 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, service: &str) -> bool {
        match self {
            Self::One(one) => one == service,
            Self::Several(several) => several.iter().any(|one| one == service),
        }
    }
}

impl ClaimRules {
    pub(super) fn new(config: &AuthConfig) -> Self {
        let configured = |text: &String| (!text.is_empty()).then(|| text.clone());
        Self {
            audience: configured(&config.audience),
            issuer: configured(&config.issuer),
            leeway_seconds: config.leeway_seconds as f64,
            require_exp: config.require_exp,
        }
    }

    /// The caller that the claims name, if they hold at this time.
    pub(super) fn caller(&self, payload: &[u8], now: UtcTime) -> Result<Caller, TokenFault> {
        let claims: Claims =
            serde_json::from_slice(payload).map_err(|error| TokenFault::Claims(error.to_string()))?;
        self.check_times(&claims, now)?;
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(TokenFault::Issuer);
        }
        let named = |service: &String| claims.aud.as_ref().is_some_and(|audience| audience.names(service));
        if !self.audience.as_ref().is_none_or(named) {
            return Err(TokenFault::Audience);
        }
        let own = SpaceId::new(claims.sub.as_str())
            .map_err(|error| TokenFault::Claims(format!("`sub`: {error}")))?;
        Ok(Caller {
            user: claims.sub,
            own,
            spaces: claims.spaces,
            scope: claims.scope,
            // Until then it is taken for valid, so until then what it has opened stays open.
            expires_at: claims.exp.map(|exp| UtcTime(((exp + self.leeway_seconds) * 1000.0) as i64)),
            device: claims.device,
        })
    }

    fn check_times(&self, claims: &Claims, now: UtcTime) -> Result<(), TokenFault> {
        let now = now.0 as f64 / 1000.0;
        if claims.exp.is_some_and(|exp| exp < now - self.leeway_seconds) {
            return Err(TokenFault::Expired);
        }
        if claims.exp.is_none() && self.require_exp {
            return Err(TokenFault::Endless);
        }
        if claims.nbf.is_some_and(|nbf| nbf > now + self.leeway_seconds) {
            return Err(TokenFault::Early);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> ClaimRules {
        ClaimRules { audience: None, issuer: None, leeway_seconds: 30.0, require_exp: false }
    }

    fn check(rules: &ClaimRules, claims: &str, expect: Option<TokenFault>) {
        let caller = rules.caller(claims.as_bytes(), UtcTime(1_000_500));
        assert_eq!((caller.is_ok(), caller.err()), (expect.is_none(), expect), "{claims}");
    }

    #[test]
    fn a_token_is_valid_from_nbf_through_exp_and_some_leeway() {
        let (expired, early) = (Some(TokenFault::Expired), Some(TokenFault::Early));
        let check = |claims: &str, expect| check(&rules(), claims, expect);
        check(r#"{"sub":"ann"}"#, None);
        check(r#"{"sub":"ann","exp":1001,"nbf":1000}"#, None);
        check(r#"{"sub":"ann","exp":971}"#, None);
        check(r#"{"sub":"ann","exp":970.4}"#, expired.clone());
        check(r#"{"sub":"ann","exp":-1}"#, expired);
        check(r#"{"sub":"ann","nbf":1030}"#, None);
        check(r#"{"sub":"ann","nbf":1031}"#, early);
        for no_time in [r#""1000""#, "true", "1e400"] {
            let claims = format!(r#"{{"sub":"ann","exp":{no_time}}}"#);
            assert!(matches!(rules().caller(claims.as_bytes(), UtcTime(0)), Err(TokenFault::Claims(_))));
        }
    }

    #[test]
    fn an_end_may_be_required() {
        let rules = ClaimRules { require_exp: true, ..rules() };
        check(&rules, r#"{"sub":"ann"}"#, Some(TokenFault::Endless));
        check(&rules, r#"{"sub":"ann","exp":1001}"#, None);
    }

    #[test]
    fn a_token_for_another_service_or_by_another_issuer_is_refused() {
        let rules = ClaimRules {
            audience: Some("tidelog".to_owned()),
            issuer: Some("https://issuer.example".to_owned()),
            ..rules()
        };
        let with = |claims: &str, expect| check(&rules, &format!(r#"{{"sub":"ann",{claims}}}"#), expect);
        let issuer = r#""iss":"https://issuer.example""#;
        with(&format!(r#"{issuer},"aud":"tidelog""#), None);
        with(&format!(r#"{issuer},"aud":["other","tidelog"]"#), None);
        for audience in [r#","aud":"other""#, r#","aud":[]"#, r#","aud":"tidelog2""#, ""] {
            with(&format!("{issuer}{audience}"), Some(TokenFault::Audience));
        }
        for issuer in [r#""iss":"https://issuer.example/","#, r#""iss":"","#, ""] {
            with(&format!(r#"{issuer}"aud":"tidelog""#), Some(TokenFault::Issuer));
        }
    }
}
