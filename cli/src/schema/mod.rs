//! `tidelog schema`: whether a schema file may follow another one, and an app's types made from it.

mod types;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tidelog_events::schema::{Schema, compatibility};

/// Commands about schema files.
#[derive(Debug, clap::Subcommand)]
pub enum SchemaCommand {
    /// Tells whether NEW may follow OLD: whether it still means the same for every event recorded under OLD
    Check {
        /// The schema in use
        old: PathBuf,
        /// The one to come
        new: PathBuf,
    },
    /// Generates types for an app: a struct for each entity type, and one for each event type
    Types(types::TypesOptions),
}

/// Runs the command. A check fails if the schemas do not go together.
pub fn run(command: &SchemaCommand) -> Result<()> {
    match command {
        SchemaCommand::Check { old, new } => check(old, new),
        SchemaCommand::Types(options) => types::run(options),
    }
}

fn check(old_file: &Path, new_file: &Path) -> Result<()> {
    let (old, new) = (read(old_file)?, read(new_file)?);
    let breakages = compatibility::check(&old, &new);
    if breakages.is_empty() {
        println!("compatible: version {} may follow version {}", new.version(), old.version());
        return Ok(());
    }
    for breakage in &breakages {
        println!("{breakage}");
    }
    let count = breakages.len();
    bail!(
        "{} must not follow {}: {count} changes break recorded events",
        new_file.display(),
        old_file.display()
    )
}

fn read(file: &Path) -> Result<Schema> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Schema::parse(&text).with_context(|| format!("{} is not a valid schema", file.display()))
}
