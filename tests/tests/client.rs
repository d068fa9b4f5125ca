//! The device SDK against a real gateway: what phones record arrives, whatever happens on the way.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot do fails it")]

mod client {
    mod backgrounds;
    mod clock;
    mod controls;
    mod damage;
    mod horizon;
    mod kills;
    mod line;
    mod live;
    mod live_gateway;
    mod live_losing;
    mod networks;
    mod phone;
    mod refusals;
    mod reports;
    mod spaces;
    mod syncing;
}
