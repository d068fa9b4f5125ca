//! Access: every operation of both descriptions with every kind of token that it must refuse; and what each service may do at the
//! servers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not there fails the test")]

mod access {
    mod broker_tls;
    mod broker_users;
    mod callers;
    mod calls;
    mod database_roles;
    mod hardened;
    mod matrix;
    mod servers;
}
