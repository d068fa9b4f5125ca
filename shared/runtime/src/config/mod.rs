//! Layered configuration: the built-in `config/default.toml`, then the file that `TIDELOG_CONFIG` names, then
//! `TIDELOG__SECTION__KEY` from the environment. Whatever does not stand in `default.toml` is an error.

mod layer;
mod sections;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use layer::Layer;
pub use sections::{LimitsConfig, RetentionConfig, SchemaConfig, Secret, at_most, percent, positive};

/// The default configuration, which is also its documentation.
pub const DEFAULTS: &str = include_str!("../../../../config/default.toml");

const FILE_VARIABLE: &str = "TIDELOG_CONFIG";
const VARIABLE_PREFIX: &str = "TIDELOG__";

/// Where configuration comes from, besides the defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `TIDELOG__` are ignored.
    pub environment: BTreeMap<String, String>,
}

impl Sources {
    /// Reads the environment of this process: the only place that does so for configuration.
    pub fn from_process() -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| {
                let name = name.into_string().ok().filter(|name| name.starts_with(VARIABLE_PREFIX))?;
                Some((name, value.to_string_lossy().into_owned()))
            })
            .collect();
        let file = std::env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        Self { file, environment }
    }
}

/// Why the configuration cannot be used. Each is for the operator to correct; none goes away by itself.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A text is not TOML.
    #[error("{origin} is not valid TOML")]
    Unparsable {
        /// The file.
        origin: String,
        /// Where and why.
        source: ::config::ConfigError,
    },
    /// A key that does not stand in `config/default.toml`.
    #[error("{origin}: there is no key `{key}`{}", hint(suggestion.as_deref()))]
    UnknownKey {
        /// The file, or the environment variable.
        origin: String,
        /// The key, `section.key`.
        key: String,
        /// A known key that looks much like it.
        suggestion: Option<String>,
    },
    /// A value of another type than the default's.
    #[error("{origin}: `{key}` must be {expected}, but is {found}")]
    WrongType {
        /// The file, or the environment variable.
        origin: String,
        /// The key, `section.key`.
        key: String,
        /// The type of the default.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A value that its section does not allow.
    #[error("`{key}` cannot be used")]
    Invalid {
        /// The key, `section.key`, or the section.
        key: String,
        /// Why.
        source: ::config::ConfigError,
    },
    /// Values that do not go together.
    #[error("{0}")]
    Contradiction(String),
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

/// The merged configuration. Services read their sections once, at start.
#[derive(Debug, Clone)]
pub struct Config {
    merged: ::config::Config,
}

impl Config {
    /// Merges the defaults and the sources.
    ///
    /// # Errors
    /// The file cannot be read, a key is unknown, a value has the wrong type, or values contradict each other.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let defaults = Layer::parse("config/default.toml", DEFAULTS)?;
        let mut values = defaults.values.clone();
        if let Some(path) = &sources.file {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
            values.extend(Layer::parse(&path.display().to_string(), &text)?.accepted_by(&defaults)?);
        }
        for (name, text) in &sources.environment {
            if let Some(key) = name.strip_prefix(VARIABLE_PREFIX) {
                let key = key.to_lowercase().replace("__", ".");
                let value = defaults.value_from_text(name, &key, text)?;
                values.insert(key, value);
            }
        }
        let config = Self { merged: merge(values)? };
        config.check_timeouts()?;
        Ok(config)
    }

    /// One section as its typed struct.
    ///
    /// # Errors
    /// The section does not exist, or a value is out of its bounds.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, ConfigError> {
        let invalid = |key: String, source| ConfigError::Invalid { key, source };
        let values: ::config::Value =
            self.merged.get(name).map_err(|source| invalid(name.to_owned(), source))?;
        serde_path_to_error::deserialize(values).map_err(|error| {
            let key = format!("{name}.{}", error.path());
            invalid(key, error.into_inner())
        })
    }

    /// A transaction that outlives `ack_wait` would be worked on twice at the same time.
    fn check_timeouts(&self) -> Result<(), ConfigError> {
        let number = |key: &str| {
            let invalid = |source| ConfigError::Invalid { key: key.to_owned(), source };
            self.merged.get_int(key).map_err(invalid)
        };
        let statement_ms = number("database.statement_timeout_ms")?;
        let ack_wait_seconds = number("broker.ack_wait_seconds")?;
        if statement_ms >= ack_wait_seconds.saturating_mul(1000) {
            return Err(ConfigError::Contradiction(format!(
                "`database.statement_timeout_ms` ({statement_ms} ms) must be below \
                 `broker.ack_wait_seconds` ({ack_wait_seconds} s): lower the one or raise the other"
            )));
        }
        Ok(())
    }
}

fn merge(values: BTreeMap<String, ::config::Value>) -> Result<::config::Config, ConfigError> {
    let invalid = |source| ConfigError::Invalid { key: "configuration".to_owned(), source };
    let mut builder = ::config::Config::builder();
    for (key, value) in values {
        builder = builder.set_override(key, value).map_err(invalid)?;
    }
    builder.build().map_err(invalid)
}

#[cfg(test)]
mod tests;
