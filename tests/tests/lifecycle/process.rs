//! A program of ours that is started by hand.

use std::path::Path;
use std::process::Command;

use tidelog_tests::built;

/// The example schema.
pub const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/fitness.yaml");

/// A program without anything in its environment that was not asked for.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(built(name));
    command.env_clear().env("TIDELOG__SCHEMA__FILE", SCHEMA).env("RUST_BACKTRACE", "1");
    command
}

/// A file in that folder.
pub fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}
