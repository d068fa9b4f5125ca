//! The access matrix: every operation of both descriptions, with every kind of token that it must refuse.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod access {
    mod callers;
    mod calls;
    mod matrix;
}
