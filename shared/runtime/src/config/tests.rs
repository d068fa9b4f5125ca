//! What configuration must refuse, and what it must keep.

use std::io::Write;

use super::*;
use crate::broker::BrokerConfig;
use crate::database::DatabaseConfig;
use crate::telemetry::{LogFormat, TelemetryConfig};

fn from_environment(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::load(&Sources { file: None, environment })
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    Config::load(&Sources { file: Some(file.path().to_owned()), environment: BTreeMap::new() })
}

/// The error and all its causes, as an operator reads them.
fn told(error: &ConfigError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[test]
fn the_defaults_are_a_valid_configuration() {
    let config = Config::load(&Sources::default()).unwrap();
    let telemetry: TelemetryConfig = config.section("telemetry").unwrap();
    let broker: BrokerConfig = config.section("broker").unwrap();
    let database: DatabaseConfig = config.section("database").unwrap();
    let schema: SchemaConfig = config.section("schema").unwrap();
    let limits: LimitsConfig = config.section("limits").unwrap();
    assert_eq!(telemetry.format, LogFormat::Human);
    assert_eq!(broker.push_max_bytes, 4 << 30);
    assert_eq!(database.max_connections, 16);
    assert_eq!(schema.file, PathBuf::from("config/fitness.yaml"));
    assert_eq!(limits.batch_events, 1000);
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "[database]\nmax_connections = 3\nacquire_timeout_ms = 7\n[broker]\n").unwrap();
    let environment =
        BTreeMap::from([("TIDELOG__DATABASE__MAX_CONNECTIONS".to_owned(), " 1_000 ".to_owned())]);
    let config = Config::load(&Sources { file: Some(file.path().to_owned()), environment }).unwrap();
    let database: DatabaseConfig = config.section("database").unwrap();
    assert_eq!((database.max_connections, database.acquire_timeout_ms), (1000, 7));
    assert_eq!(database.statement_timeout_ms, 15_000);
}

#[test]
fn values_of_the_environment_take_the_type_of_their_default() {
    let config = from_environment(&[
        ("TIDELOG__DATABASE__SYNCHRONOUS_FAILOVER", "true"),
        ("TIDELOG__BROKER__SUBJECT_PREFIX", "42"),
        ("TIDELOG__AUTH__HS256_SECRET", "12345678901234567890123456789012"),
        ("TIDELOG__GATEWAY__LISTEN", "0.0.0.0:8080"),
        ("PATH", "/usr/bin"),
    ])
    .unwrap();
    assert!(config.section::<DatabaseConfig>("database").unwrap().synchronous_failover);
    assert_eq!(config.section::<BrokerConfig>("broker").unwrap().subject_prefix, "42");
    let auth: BTreeMap<String, ::config::Value> = config.section("auth").unwrap();
    assert_eq!(auth["hs256_secret"].clone().into_string().unwrap(), "12345678901234567890123456789012");
}

#[test]
fn a_key_that_does_not_exist_is_named_with_the_nearest_one_that_does() {
    let cases = [
        (from_environment(&[("TIDELOG__GATEWAY__COMIT_WAIT_MS", "1")]), "gateway.commit_wait_ms"),
        (from_file("[gateway]\ncommit_wait = 1\n"), "gateway.commit_wait_ms"),
        (from_file("[databse]\nurl = \"x\"\n"), "database.url"),
    ];
    for (result, suggestion) in cases {
        let text = told(&result.unwrap_err());
        assert!(text.contains(&format!("did you mean `{suggestion}`?")), "{text}");
    }
    for result in [
        from_environment(&[("TIDELOG__GATEWAY", "1")]),
        from_environment(&[("TIDELOG__", "1")]),
        from_file("[entirely_else]\n"),
        from_file("top = 1\n"),
        from_file("[gateway.listen]\nport = 1\n"),
    ] {
        assert!(matches!(result, Err(ConfigError::UnknownKey { .. })), "{result:?}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_key() {
    for (result, key) in [
        (from_environment(&[("TIDELOG__BROKER__REPLICAS", "three")]), "broker.replicas"),
        (
            from_environment(&[("TIDELOG__DATABASE__SYNCHRONOUS_FAILOVER", "maybe")]),
            "database.synchronous_failover",
        ),
        (from_file("[broker]\nreplicas = \"3\"\n"), "broker.replicas"),
        (from_file("[broker]\nreplicas = 1.5\n"), "broker.replicas"),
        (from_file("[broker]\nurl = [\"nats://a\"]\n"), "broker.url"),
        (from_file("broker = 3\n"), "broker"),
    ] {
        let text = told(&result.unwrap_err());
        assert!(text.contains(&format!("`{key}`")), "{text}");
    }
}

#[test]
fn a_file_that_is_missing_or_broken_is_an_error() {
    let missing = Sources { file: Some("/nonexistent/tidelog.toml".into()), environment: BTreeMap::new() };
    assert!(matches!(Config::load(&missing), Err(ConfigError::Unreadable { .. })));
    assert!(matches!(from_file("[broker"), Err(ConfigError::Unparsable { .. })));
}

#[test]
fn limits_may_be_lowered_and_never_raised() {
    let lowered = from_environment(&[("TIDELOG__LIMITS__BATCH_EVENTS", "10")]).unwrap();
    assert_eq!(lowered.section::<LimitsConfig>("limits").unwrap().batch_events, 10);
    for (key, value) in [
        ("BATCH_EVENTS", "1001"),
        ("BATCH_EVENTS", "0"),
        ("BODY_BYTES", "-1"),
        ("BODY_BYTES", "4194305"),
        ("LINE_BYTES", "65537"),
        ("PULL_EVENTS", "10001"),
        ("READ_ENTITIES", "1001"),
        ("WAIT_SECONDS", "61"),
        ("MAX_CLOCK_AHEAD_MS", "60001"),
    ] {
        let config = from_environment(&[(&format!("TIDELOG__LIMITS__{key}"), value)]).unwrap();
        let text = told(&config.section::<LimitsConfig>("limits").unwrap_err());
        assert!(text.contains(&key.to_lowercase()), "{text}");
    }
}

#[test]
fn statements_must_end_before_a_batch_is_handed_out_again() {
    let error = from_environment(&[("TIDELOG__BROKER__ACK_WAIT_SECONDS", "15")]).unwrap_err();
    assert!(matches!(error, ConfigError::Contradiction(_)));
}
