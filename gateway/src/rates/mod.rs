//! How often one may call: an address, a user, a trusted backend, each by its own rate, before anything of a body is read.

mod config;
mod counters;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tidelog_events::code::Refusal;

pub use config::RatesConfig;
use counters::Rate;

use crate::auth::Caller;
use crate::problem::Problem;
use crate::server::{ClientAddress, network_of};

const ONE: NonZeroU32 = NonZeroU32::MIN;
/// What a request counts whose token is not valid: guessing is dear, and a token that has just expired is not.
const BAD_TOKEN: NonZeroU32 = ONE.saturating_add(9);

/// The rates of this process. Clones share them.
#[derive(Clone)]
pub(crate) struct Rates(Arc<Shared>);

struct Shared {
    address: Option<Rate>,
    /// Tokens that are verified for an address, but for those of trusted backends: a signature costs more than a refusal.
    verifications: Option<Rate>,
    user: Option<Rate>,
    backend: Option<Rate>,
}

/// Who a request is from, as far as its token says.
pub(crate) enum Bearer<'a> {
    /// It has no token.
    Nobody,
    /// Its token is not valid.
    Unknown,
    /// Its token is valid.
    Known(&'a Caller),
}

impl Rates {
    pub(crate) fn new(config: &RatesConfig) -> Self {
        let rate = |per_second, burst| Rate::new(per_second, burst, config.counters);
        Self(Arc::new(Shared {
            address: rate(config.address_per_second, config.address_burst),
            verifications: rate(config.address_per_second, config.address_burst),
            user: rate(config.user_per_second, config.user_burst),
            backend: rate(config.backend_per_second, config.backend_burst),
        }))
    }

    /// Counts a token that is about to be verified: no more of them than an address may send requests, valid or not.
    pub(crate) fn begin_verification(&self, ClientAddress(address): ClientAddress) -> Result<(), Problem> {
        match &self.0.verifications {
            Some(rate) => rate.count(&network_of(address), ONE).map_err(|wait| refuse("this address", wait)),
            None => Ok(()),
        }
    }

    /// Takes it back: it was a trusted backend's, which does not count.
    pub(crate) fn refund_verification(&self, ClientAddress(address): ClientAddress) {
        if let Some(rate) = &self.0.verifications {
            rate.refund(&network_of(address));
        }
    }

    /// Counts a request.
    pub(crate) fn admit(
        &self,
        ClientAddress(address): ClientAddress,
        bearer: &Bearer,
    ) -> Result<(), Problem> {
        let Shared { address: addresses, .. } = &*self.0;
        let cost = match bearer {
            Bearer::Known(caller) if caller.is_trusted() => return self.admit_caller(caller),
            Bearer::Unknown => BAD_TOKEN,
            _ => ONE,
        };
        if let Some(rate) = addresses {
            rate.count(&network_of(address), cost).map_err(|wait| refuse("this address", wait))?;
        }
        match bearer {
            Bearer::Known(caller) => self.admit_caller(caller),
            _ => Ok(()),
        }
    }

    /// Counts something that a known caller asks for: a request, or what counts like one on a live connection.
    pub(crate) fn admit_caller(&self, caller: &Caller) -> Result<(), Problem> {
        let Shared { user, backend, .. } = &*self.0;
        let (rate, who) =
            if caller.is_trusted() { (backend, "this backend") } else { (user, "this user's devices") };
        match rate {
            Some(rate) => rate.count(&caller.user.as_str(), ONE).map_err(|wait| refuse(who, wait)),
            None => Ok(()),
        }
    }
}

fn refuse(who: &str, wait: Duration) -> Problem {
    let detail = format!("{who} may send no more requests just now; wait as long as `Retry-After` says");
    Problem::new(Refusal::RateLimited, detail).retry_after(wait)
}
