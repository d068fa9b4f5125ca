//! `tidelog schema types`: what an app records and reads as types of its language, made from its schema file.

mod rust;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;
use tidelog_runtime::config::{Config, SchemaConfig, Sources};

/// Options of `tidelog schema types`.
#[derive(Debug, clap::Args)]
pub struct TypesOptions {
    /// The schema, YAML or JSON; otherwise the one that the configuration names
    file: Option<PathBuf>,
    /// The app's language
    #[arg(long)]
    lang: Language,
    /// Write this file; otherwise to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What types can be generated for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Language {
    /// A module for apps that use the crate tidelog-client
    Rust,
}

/// Generates the types, the same bytes for the same schema.
pub(super) fn run(options: &TypesOptions) -> Result<()> {
    let file = match &options.file {
        Some(file) => file.clone(),
        None => Config::load(&Sources::from_process())?.section::<SchemaConfig>("schema")?.file,
    };
    let schema = super::read(&file)?;
    let types = match options.lang {
        Language::Rust => rust::generate(&schema),
    };
    let Some(out) = &options.out else {
        print!("{types}");
        return Ok(());
    };
    fs::write(out, types).with_context(|| format!("cannot write {}", out.display()))
}
