//! Layered configuration: the built-in `config/default.toml`, then the file that `TIDELOG_CONFIG` names, then
//! `TIDELOG__SECTION__KEY` from the environment. Whatever does not stand in `default.toml` is an error.

mod layer;
mod sections;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use layer::Layer;
pub use sections::{
    LimitsConfig, RetentionConfig, SchemaConfig, Secret, address, at_most, one_of, optional_address, percent,
    positive,
};

use crate::broker::BrokerConfig;
use crate::database::DatabaseConfig;
use crate::service::{in_one_line, with_causes};
use crate::telemetry::TelemetryConfig;

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

/// Why the configuration cannot be used, in one line. Each is for the operator to correct; none goes away by itself. A
/// place is a file and its line, an environment variable, or the built-in default. No value of a text is repeated.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: the configuration file (TIDELOG_CONFIG) cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// A text is not TOML.
    #[error("{place}: this is not valid TOML: {reason}")]
    Unparsable {
        /// Where.
        place: String,
        /// Why.
        reason: String,
    },
    /// A key that does not stand in `config/default.toml`.
    #[error("{place}: there is no key `{key}`{}", hint(suggestion.as_deref()))]
    UnknownKey {
        /// Where it is set.
        place: String,
        /// The key, `section.key`.
        key: String,
        /// A known key that looks much like it.
        suggestion: Option<String>,
    },
    /// A value of another type than the default's.
    #[error("{place}: `{key}` must be {expected}, but is {found}")]
    WrongType {
        /// Where it is set.
        place: String,
        /// The key, `section.key`.
        key: String,
        /// The type of the default.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A value that cannot be used.
    #[error("{place}: `{key}` cannot be used: {reason}")]
    Invalid {
        /// Where it is set.
        place: String,
        /// The key, `section.key`, or the section.
        key: String,
        /// Why, and what is allowed.
        reason: String,
    },
    /// Values that do not go together.
    #[error("{0}")]
    Contradiction(String),
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

/// The place of a key that nobody has set.
const BUILT_IN: &str = "the built-in default";

/// The merged configuration. Services read their sections once, at start.
#[derive(Debug, Clone)]
pub struct Config {
    merged: ::config::Config,
    /// Where each key is set that does not have its default.
    places: BTreeMap<String, String>,
}

impl Config {
    /// Merges the defaults and the sources.
    ///
    /// # Errors
    /// The file cannot be read, a key is unknown, a value has the wrong type, or values contradict each other.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let defaults = Layer::parse("config/default.toml", DEFAULTS)?;
        let (mut values, mut places) = (defaults.values.clone(), BTreeMap::new());
        if let Some(path) = &sources.file {
            let text = std::fs::read_to_string(path)
                .map_err(|reason| ConfigError::Unreadable { path: path.clone(), reason })?;
            let file = Layer::parse(&path.display().to_string(), &text)?;
            for (key, value) in file.accepted_by(&defaults)? {
                places.insert(key.clone(), file.place(&key));
                values.insert(key, value);
            }
        }
        for (name, text) in &sources.environment {
            if let Some(key) = name.strip_prefix(VARIABLE_PREFIX) {
                let key = key.to_lowercase().replace("__", ".");
                let value = defaults.value_from_text(name, &key, text)?;
                places.insert(key.clone(), name.clone());
                values.insert(key, value);
            }
        }
        let config = Self { merged: merge(values)?, places };
        config.check_timeouts()?;
        Ok(config)
    }

    /// One section as its typed struct.
    ///
    /// # Errors
    /// The section does not exist, or a value is out of its bounds.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, ConfigError> {
        let values: ::config::Value =
            self.merged.get(name).map_err(|error| self.unusable(name, &error.to_string()))?;
        serde_path_to_error::deserialize(values).map_err(|error| {
            let key = format!("{name}.{}", error.path());
            // The parser names the key once more, and a source that is none.
            let reason = error.into_inner().to_string();
            let reason = reason.split(" for key `").next().unwrap_or_default();
            let is_negative = reason.contains("integer `-") && reason.contains("expected an unsigned");
            self.unusable(&key, if is_negative { "it must not be negative" } else { reason })
        })
    }

    /// Where a key is set.
    pub fn place(&self, key: &str) -> &str {
        self.places.get(key).map_or(BUILT_IN, String::as_str)
    }

    /// Whether nobody has set it.
    pub fn is_default(&self, key: &str) -> bool {
        !self.places.contains_key(key)
    }

    /// The error that the value of a key cannot be used, and why.
    pub fn unusable(&self, key: &str, reason: &str) -> ConfigError {
        // Some errors say so themselves.
        let reason = reason.strip_prefix(&format!("`{key}` cannot be used: ")).unwrap_or(reason);
        let (place, reason) = (self.place(key).to_owned(), in_one_line(reason));
        ConfigError::Invalid { place, key: key.to_owned(), reason }
    }

    /// The same of an error, its causes included.
    pub fn refused(&self, key: &str, error: &(dyn std::error::Error + 'static)) -> ConfigError {
        self.unusable(key, &with_causes(error))
    }

    /// The value of a key that is a number.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self, key: &str) -> Result<i64, ConfigError> {
        self.merged.get_int(key).map_err(|_| self.unusable(key, "it must be a whole number"))
    }

    /// The error that two numbers do not go together, and the rule.
    pub fn contradiction(&self, one: &str, other: &str, rule: &str) -> ConfigError {
        let told = |key: &str| {
            let value = self.merged.get_string(key).unwrap_or_default();
            format!("`{key}` is {value} ({})", self.place(key))
        };
        ConfigError::Contradiction(format!("{} and {}: {rule}", told(one), told(other)))
    }

    /// A transaction that outlives `ack_wait` would be worked on twice at the same time.
    fn check_timeouts(&self) -> Result<(), ConfigError> {
        let (statement, ack_wait) = ("database.statement_timeout_ms", "broker.ack_wait_seconds");
        if self.number(statement)? < self.number(ack_wait)?.saturating_mul(1000) {
            return Ok(());
        }
        Err(self.contradiction(statement, ack_wait, "the first must be shorter than the second"))
    }
}

/// Checks the sections that every service reads. No file that they name is looked at, and nobody is connected to.
///
/// # Errors
/// The first that is wrong.
pub fn check_common(config: &Config) -> Result<(), ConfigError> {
    let telemetry: TelemetryConfig = config.section("telemetry")?;
    telemetry.filter().map_err(|error| config.refused("telemetry.filter", &error))?;
    let database: DatabaseConfig = config.section("database")?;
    database.options().map_err(|error| config.refused("database.url", &error))?;
    let broker: BrokerConfig = config.section("broker")?;
    broker.servers().map_err(|error| config.refused("broker.url", &error))?;
    config.section::<SchemaConfig>("schema")?;
    Ok(())
}

fn merge(values: BTreeMap<String, ::config::Value>) -> Result<::config::Config, ConfigError> {
    let invalid = |error: ::config::ConfigError| ConfigError::Contradiction(in_one_line(&error.to_string()));
    let mut builder = ::config::Config::builder();
    for (key, value) in values {
        builder = builder.set_override(key, value).map_err(invalid)?;
    }
    builder.build().map_err(invalid)
}

#[cfg(test)]
mod tests;
