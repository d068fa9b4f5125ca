//! The log from outside: what a push does, what a pull answers.
#![expect(missing_docs, reason = "tests")]

mod log {
    mod push;
}
