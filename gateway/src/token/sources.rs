//! Where keys come from: any of a secret, a file and a URL, together.

use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;
use tokio_util::sync::CancellationToken;

use jsonwebtoken::Algorithm;

use super::VerifierError;
use super::file::KeyFile;
use super::key::{Key, SECRET_BYTES_MIN};
use super::keys::{self, Verdict};
use super::unverified::Unverified;
use super::url::KeyUrl;
use crate::config::AuthConfig;

/// The sources. Reading them takes no lock and waits for nothing.
pub(super) struct KeySources {
    secret: Option<Key>,
    file: Option<KeyFile>,
    url: Option<KeyUrl>,
}

impl KeySources {
    pub(super) fn new(config: &AuthConfig, clock: &Clock) -> Result<Self, VerifierError> {
        let secret = config.hs256_secret.expose().as_bytes();
        let weak =
            |_| VerifierError::new("hs256_secret", format!("it has less than {SECRET_BYTES_MIN} bytes"));
        let secret = if secret.is_empty() { None } else { Some(Key::hs256(secret).map_err(weak)?) };
        metrics::gauge!("tidelog_gateway_keys", "source" => "secret")
            .set(f64::from(u8::from(secret.is_some())));
        let file = match config.jwks_file.as_str() {
            "" => None,
            path => Some(KeyFile::open(path.into(), config.jwks_bytes)?),
        };
        let url = match config.jwks_url.as_str() {
            "" => None,
            url => Some(KeyUrl::new(url, config, clock.clone())?),
        };
        if secret.is_none() && file.is_none() && url.is_none() {
            tracing::warn!("the section [auth] names no keys: no token is valid");
        }
        Ok(Self { secret, file, url })
    }

    /// Keeps the keys up to date until `stopped`.
    pub(super) async fn follow(&self, stopped: &CancellationToken) {
        let file = async {
            if let Some(file) = &self.file {
                file.follow(stopped).await;
            }
        };
        let url = async {
            if let Some(url) = &self.url {
                url.follow(stopped).await;
            }
        };
        tokio::join!(file, url);
    }

    /// What the keys that are known at this time say of the token.
    pub(super) fn judge(&self, token: &Unverified<'_>, now: UtcTime) -> Verdict {
        let file = self.file.as_ref().map(KeyFile::keys);
        let url = self.url.as_ref().and_then(|url| url.keys(now));
        let file = file.iter().flat_map(|keys| keys.iter());
        let url = url.iter().filter_map(|fetched| fetched.as_deref()).flat_map(|fetched| fetched.keys.iter());
        keys::judge(token, self.secret.iter().chain(file).chain(url))
    }

    /// The URL, where it may know a key that the token asks for and nobody else knows: one of another name, or any while
    /// none of its keys is known. Secrets do not come from there.
    pub(super) fn worth_asking(
        &self,
        token: &Unverified<'_>,
        verdict: Verdict,
        now: UtcTime,
    ) -> Option<&KeyUrl> {
        let url = self.url.as_ref().filter(|_| token.algorithm != Algorithm::HS256)?;
        let worth = match verdict {
            Verdict::UnknownKey => true,
            Verdict::Forged | Verdict::NoKey => token.kid.is_none() && url.keys(now).is_none(),
            Verdict::Signed | Verdict::OtherAlgorithm => false,
        };
        worth.then_some(url)
    }
}
