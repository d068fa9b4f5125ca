//! What a token says.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;

/// What a token may do in a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Pull.
    R,
    /// Pull and push.
    Rw,
}

/// `ID=rw` or `ID=r`, as on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceGrant {
    /// The space.
    pub space: String,
    /// What may be done there.
    pub access: Access,
}

impl FromStr for SpaceGrant {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        // The access is behind the last `=`: ids may contain one.
        let Some((space, access)) = text.rsplit_once('=') else {
            bail!("write the space as ID=rw or ID=r");
        };
        let access = match access {
            "r" => Access::R,
            "rw" => Access::Rw,
            other => bail!("`{other}` is not an access: write rw or r behind the `=`"),
        };
        ensure!(!space.is_empty(), "write the space's id before the `=`");
        Ok(Self { space: space.to_owned(), access })
    }
}

/// A token's claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// The spaces, beside the user's own; `*` names all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spaces: BTreeMap<String, Access>,
    /// Words with spaces between, as `admin` or `admin:read`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The device that the token is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The service that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Who issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
}

impl Claims {
    /// Claims of `sub` for the next `hours` hours.
    pub fn new(sub: impl Into<String>, hours: u64) -> Self {
        Self::from_time(Clock::system().now(), sub, hours)
    }

    /// Claims of `sub` for `hours` hours from that time on.
    pub fn from_time(now: UtcTime, sub: impl Into<String>, hours: u64) -> Self {
        let now = (now.0 / 1000).cast_unsigned();
        let exp = now.saturating_add(hours.saturating_mul(3600));
        Self {
            sub: sub.into(),
            spaces: BTreeMap::new(),
            scope: None,
            device: None,
            aud: None,
            iss: None,
            iat: now,
            exp,
        }
    }

    /// And this access to a space.
    #[must_use]
    pub fn with_space(mut self, space: impl Into<String>, access: Access) -> Self {
        self.spaces.insert(space.into(), access);
        self
    }

    /// And the scope `admin`.
    #[must_use]
    pub fn with_admin(self) -> Self {
        self.with_scope("admin")
    }

    /// Gives it a scope: words with spaces between.
    #[must_use]
    pub fn with_scope(mut self, scope: &str) -> Self {
        self.scope = Some(scope.to_owned());
        self
    }

    /// The token, by HS256.
    pub fn sign(&self, secret: &str) -> Result<String> {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::new(Algorithm::HS256), self, &key).context("cannot sign the token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_is_written_with_its_access() {
        let grant = |text: &str| text.parse::<SpaceGrant>().ok().map(|grant| (grant.space, grant.access));
        assert_eq!(grant("team-9=rw"), Some(("team-9".into(), Access::Rw)));
        assert_eq!(grant("a=b=r"), Some(("a=b".into(), Access::R)));
        for wrong in ["team-9", "team-9=w", "=rw", "team-9="] {
            assert_eq!(grant(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_plain_token_names_its_user_alone() {
        let json = serde_json::to_value(Claims::new("ana", 1)).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["exp", "iat", "sub"]);
    }
}
