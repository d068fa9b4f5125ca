//! What the command `tidelog` does, one module a command, and the local servers that the tests share with it.

pub mod bench;
pub mod compactor;
pub mod config;
pub mod device;
pub mod history;
pub mod inspect;
pub mod local;
pub mod migrate;
pub mod projector;
pub mod replay;
pub mod schema;
pub mod simulate;
pub mod stack_file;
pub mod tail;
mod terminal;
pub mod token;
pub mod traces;
pub mod up;
