//! Tokens: whose keys are taken, that no other token is, and that keys change while the gateway runs.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod tokens {
    mod algorithms;
    mod asking;
    mod claims;
    mod configured;
    mod file;
    mod forged;
    mod issuer;
    mod outages;
    mod url;
}
