//! Live connections: the log as it grows, pushes over them, presence, and how they end.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod live {
    mod ending;
    mod log;
    mod losing;
    mod presence;
    mod pushing;
}
