//! The configuration that a manifest gives to a service, loaded as the service loads it.

use std::collections::BTreeMap;
use std::io::Write as _;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::NamedTempFile;
use tidelog_archive::ArchiveConfig;
use tidelog_compactor::CompactorConfig;
use tidelog_events::schema::Schema;
use tidelog_gateway::{
    AdminConfig, AuthConfig, CorsConfig, GatewayConfig, LiveConfig, RatesConfig, ServerConfig,
};
use tidelog_ingest::IngestConfig;
use tidelog_projector::ProjectorConfig;
use tidelog_runtime::broker::BrokerConfig;
use tidelog_runtime::clock::ClockConfig;
use tidelog_runtime::config::{
    Config, ConfigError, DEFAULTS, LimitsConfig, RetentionConfig, SchemaConfig, Sources,
};
use tidelog_runtime::database::DatabaseConfig;
use tidelog_runtime::telemetry::TelemetryConfig;

use super::manifests::{Workload, find, items, text, workloads};

/// What a Secret may hold, for each variable that comes from one.
const SECRETS: [(&str, &str); 5] = [
    (
        "TIDELOG__BROKER__URL",
        "nats://gateway:p1@nats-0.nats-headless:4222,nats://gateway:p1@nats-1.nats-headless:4222",
    ),
    ("TIDELOG__DATABASE__URL", "postgresql://tidelog_gateway:p1@postgres:5432/tidelog"),
    ("TIDELOG__AUTH__HS256_SECRET", "0123456789abcdef0123456789abcdef"),
    ("TIDELOG__ARCHIVE__S3_ACCESS_KEY_ID", "id"),
    ("TIDELOG__ARCHIVE__S3_SECRET_ACCESS_KEY", "key"),
];

type Reads = fn(&Config, &str) -> Option<ConfigError>;

fn reads<T: DeserializeOwned>(config: &Config, section: &str) -> Option<ConfigError> {
    config.section::<T>(section).err()
}

/// Each section and the type that reads it, or says why not.
const SECTIONS: [(&str, Reads); 18] = [
    ("admin", reads::<AdminConfig>),
    ("archive", reads::<ArchiveConfig>),
    ("auth", reads::<AuthConfig>),
    ("broker", reads::<BrokerConfig>),
    ("clock", reads::<ClockConfig>),
    ("compactor", reads::<CompactorConfig>),
    ("cors", reads::<CorsConfig>),
    ("database", reads::<DatabaseConfig>),
    ("gateway", reads::<GatewayConfig>),
    ("ingest", reads::<IngestConfig>),
    ("limits", reads::<LimitsConfig>),
    ("live", reads::<LiveConfig>),
    ("projector", reads::<ProjectorConfig>),
    ("rates", reads::<RatesConfig>),
    ("retention", reads::<RetentionConfig>),
    ("schema", reads::<SchemaConfig>),
    ("server", reads::<ServerConfig>),
    ("telemetry", reads::<TelemetryConfig>),
];

/// What a service would say at its start, and what of its files is not there.
pub fn findings(manifests: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    for workload in workloads(manifests).iter().filter(|workload| workload.is_ours()) {
        let mut say = |what: String| findings.push(format!("{}: {what}", workload.id()));
        match load(manifests, workload) {
            Ok(config) => {
                let schema: SchemaConfig = config.section("schema").unwrap();
                let schema = mounted(manifests, workload, &schema.file.display().to_string());
                if let Err(why) =
                    schema.and_then(|text| Schema::parse(&text).map_err(|error| error.to_string()))
                {
                    say(format!("schema.file: {why}"));
                }
            }
            Err(why) => say(why),
        }
    }
    findings
}

/// The configuration of a workload's only container.
pub fn load(manifests: &[Value], workload: &Workload<'_>) -> Result<Config, String> {
    let environment = environment(manifests, workload)?;
    let path = environment.get("TIDELOG_CONFIG").ok_or("TIDELOG_CONFIG is not set")?;
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(mounted(manifests, workload, path)?.as_bytes()).unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), environment };
    let said = |error: ConfigError| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let place = file.path().display().to_string();
        format!("{error}{}", cause.unwrap_or_default()).replace(&place, path_of(&sources))
    };
    let config = Config::load(&sources).map_err(said)?;
    for (section, read) in SECTIONS {
        if let Some(error) = read(&config, section) {
            return Err(said(error));
        }
    }
    Ok(config)
}

fn path_of(sources: &Sources) -> &str {
    &sources.environment["TIDELOG_CONFIG"]
}

/// The variables of the container; for those that come from a Secret, what one may hold.
fn environment(manifests: &[Value], workload: &Workload<'_>) -> Result<BTreeMap<String, String>, String> {
    let container = &workload.containers()[0];
    let mut environment = BTreeMap::new();
    for from in items(container, "/envFrom") {
        let name = text(from, "/configMapRef/name");
        let map = find(manifests, "ConfigMap", name).ok_or(format!("there is no ConfigMap {name}"))?;
        let values = map["data"].as_object().into_iter().flatten();
        environment
            .extend(values.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())));
    }
    for variable in items(container, "/env") {
        let name = text(variable, "/name");
        let value = if variable.pointer("/valueFrom/secretKeyRef").is_some() {
            let known = SECRETS.iter().find(|(known, _)| *known == name);
            known.ok_or(format!("{name} is not known to come from a Secret"))?.1
        } else {
            text(variable, "/value")
        };
        environment.insert(name.to_owned(), value.to_owned());
    }
    Ok(environment)
}

/// The content of the file at that path in the container: from a ConfigMap whose folder is mounted whole, so that it follows
/// the ConfigMap.
pub fn mounted(manifests: &[Value], workload: &Workload<'_>, path: &str) -> Result<String, String> {
    let (folder, file) = path.rsplit_once('/').ok_or(format!("{path} is no path"))?;
    let mounts = items(&workload.containers()[0], "/volumeMounts");
    let mount = mounts.iter().find(|mount| text(mount, "/mountPath") == folder);
    let mount = mount.ok_or(format!("nothing is mounted at {folder}"))?;
    if mount.get("subPath").is_some() {
        return Err(format!("{folder} is mounted with subPath, which never changes"));
    }
    let volumes = items(workload.pod(), "/volumes");
    let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]);
    let volume = volume.ok_or(format!("there is no volume {}", mount["name"]))?;
    let projected = items(volume, "/projected/sources").iter().map(|source| text(source, "/configMap/name"));
    let names = projected.chain([text(volume, "/configMap/name")]);
    let mut maps = names.filter_map(|name| find(manifests, "ConfigMap", name));
    let content = maps.find_map(|map| map["data"][file].as_str());
    content.map(str::to_owned).ok_or(format!("there is no file {path}"))
}

/// A number of a loaded configuration.
pub fn value(config: &Config, section: &str, key: &str) -> Option<u64> {
    let section: BTreeMap<String, Value> = config.section(section).unwrap();
    section.get(key).and_then(Value::as_u64)
}

#[test]
fn every_section_of_the_configuration_is_read_as_a_service_reads_it() {
    let mut sections: Vec<&str> =
        DEFAULTS.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')).collect();
    sections.sort_unstable();
    assert_eq!(sections, SECTIONS.map(|(name, _)| name));
}
