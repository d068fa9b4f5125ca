//! `tidelog config`: whether a configuration is one, before a service is started with it.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use tidelog_runtime::config::{Config, ConfigError, Sources};

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration as the services do when they start
    ///
    /// The file, and the variables TIDELOG__SECTION__KEY of the environment. Every value is checked, by itself and against
    /// others. Files that are named in it are not looked at, and nobody is connected to.
    Check(CheckOptions),
}

/// What to check.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The file; without it, the one that TIDELOG_CONFIG names
    file: Option<PathBuf>,
    /// Only what this service reads
    #[arg(long)]
    service: Option<ServiceName>,
}

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ServiceName {
    Gateway,
    Ingest,
    Projector,
    Compactor,
}

impl ServiceName {
    fn check(self, config: &Config) -> Result<(), ConfigError> {
        match self {
            Self::Gateway => tidelog_gateway::check(config),
            Self::Ingest => tidelog_ingest::check(config),
            Self::Projector => tidelog_projector::check(config),
            Self::Compactor => tidelog_compactor::check(config),
        }
    }
}

/// Does it.
pub fn run(command: ConfigCommand) -> Result<()> {
    let ConfigCommand::Check(CheckOptions { file, service }) = command;
    let mut sources = Sources::from_process();
    sources.file = file.or(sources.file);
    let config = Config::load(&sources)?;
    let services = service.map_or_else(|| ServiceName::value_variants().to_vec(), |service| vec![service]);
    for service in services {
        service.check(&config)?;
    }
    println!("the configuration can be used");
    Ok(())
}
