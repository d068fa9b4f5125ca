//! Limits of the gateway: what is slow, large, wrong, too often or too much costs it little, and callers learn what to do.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod limits {
    mod connections;
    mod cors;
    mod heads;
    mod http2;
    mod line;
    mod measured;
    mod overload;
    mod rates;
    mod tls;
    mod versions;
}
