//! Tokens: whether one is valid now, and whom it names. The way of a token: `unverified` takes it apart, `keys` finds the
//! keys that may have signed it, `claims` judges what it says. Keys come from `sources`: a secret, a file, a URL.

mod claims;
mod document;
mod fault;
mod fetch;
mod file;
mod key;
mod keys;
mod schedule;
mod sources;
mod unverified;
mod url;

use std::sync::Arc;
use std::time::Duration;

use tidelog_runtime::clock::Clock;
use tidelog_runtime::metrics::Metric;
use tokio_util::sync::CancellationToken;

use crate::auth::Caller;
use crate::config::AuthConfig;
use crate::problem::Problem;
use claims::ClaimRules;
use fault::TokenFault;
use keys::Verdict;
use sources::KeySources;
use unverified::Unverified;

/// How often file and URL are looked after: the file's content is compared, and it is seen whether a fetch is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) const METRICS: &[Metric] = &[
    Metric::gauge("tidelog_gateway_keys", "Keys that tokens are verified by, by source")
        .by(&[("source", &["secret", "file", "url"])]),
    Metric::counter(
        "tidelog_gateway_key_reads_total",
        "Times that new keys were read or asked for, by source and outcome",
    )
    .by(&[("source", &["file", "url"]), ("outcome", &["taken", "unchanged", "unavailable", "refused"])]),
    Metric::counter("tidelog_gateway_refused_tokens_total", "Tokens that were refused, by reason").by(&[(
        "reason",
        &[
            "too-long",
            "malformed",
            "algorithm",
            "unknown-key",
            "signature",
            "claims",
            "expired",
            "early",
            "audience",
            "issuer",
            "keys-away",
        ],
    )]),
];

/// Why tokens cannot be verified as the section `[auth]` says. Each is for the operator to correct.
#[derive(Debug, thiserror::Error)]
pub enum VerifierError {
    /// A key of the configuration cannot be used.
    #[error("`auth.{key}` cannot be used: {why}")]
    Unusable {
        /// The key, without its section.
        key: &'static str,
        /// What is wrong with its value.
        why: String,
    },
}

impl VerifierError {
    /// The key that is to blame, `section.key`.
    pub fn key(&self) -> String {
        let Self::Unusable { key, .. } = self;
        format!("auth.{key}")
    }

    fn new(key: &'static str, why: impl Into<String>) -> Self {
        Self::Unusable { key, why: why.into() }
    }
}

/// Verifies tokens. Clones share what they verify by: each request takes one.
#[derive(Clone)]
pub struct Verifier {
    shared: Arc<Shared>,
}

struct Shared {
    token_bytes: usize,
    sources: KeySources,
    rules: ClaimRules,
    clock: Clock,
}

impl Verifier {
    /// Reads the configured file. The URL is asked first when the gateway runs. Without any source no token is valid.
    ///
    /// # Errors
    /// A secret is weak, the file has no usable keys, a URL is none, or values contradict each other.
    pub fn new(config: &AuthConfig, clock: Clock) -> Result<Self, VerifierError> {
        let shared = Shared {
            token_bytes: config.token_bytes as usize,
            sources: KeySources::new(config, &clock)?,
            rules: ClaimRules::new(config),
            clock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Follows the file and the URL until `stopped`.
    pub(crate) async fn follow(self, stopped: CancellationToken) {
        self.shared.sources.follow(&stopped).await;
    }

    /// The caller that the token names. Waits for nothing, except where the token names a key that is not known and that
    /// the URL may know by now.
    ///
    /// # Errors
    /// The token is not valid; or its key could not be looked up just now, which is no fault of the token's.
    pub async fn verify(&self, token: &str) -> Result<Caller, Problem> {
        self.shared.caller(token).await.map_err(|fault| {
            metrics::counter!("tidelog_gateway_refused_tokens_total", "reason" => fault.reason())
                .increment(1);
            fault.into()
        })
    }
}

impl Shared {
    async fn caller(&self, token: &str) -> Result<Caller, TokenFault> {
        let token = Unverified::parse(token, self.token_bytes)?;
        self.check_signature(&token).await?;
        self.rules.caller(&token.payload()?, self.clock.now())
    }

    async fn check_signature(&self, token: &Unverified<'_>) -> Result<(), TokenFault> {
        let verdict = self.sources.judge(token, self.clock.now());
        let Some(url) = self.sources.worth_asking(token, verdict, self.clock.now()) else {
            return verdict.into_result();
        };
        let answered = url.look_up().await;
        match self.sources.judge(token, self.clock.now()) {
            Verdict::Signed => Ok(()),
            _ if !answered => Err(TokenFault::KeysAway),
            refused => refused.into_result(),
        }
    }
}

#[cfg(test)]
mod tests;
