//! NATS: its configuration is one that nats-server takes, and fits its volumes, its memory and its number of servers.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use tidelog_runtime::broker::BrokerConfig;

use super::configuration::load;
use super::manifests::{Workload, find, items, number, text, workloads};
use super::programs::test_nats;
use super::quantity::bytes;

/// Beyond the streams: what is being compacted, and Raft's log.
const ROOM_PERCENT: u64 = 120;

/// What is wrong with the broker.
pub fn findings(manifests: &[Value]) -> Vec<String> {
    let workloads = workloads(manifests);
    let Some(broker) = workloads.iter().find(|workload| workload.component() == "broker") else {
        return vec!["there is no broker".to_owned()];
    };
    let text = configuration(manifests, broker);
    let mut findings = about_volumes(broker, &text);
    findings.extend(about_memory(broker));
    findings.extend(about_servers(broker, &text));
    let ingest = workloads.iter().find(|workload| workload.component() == "ingest");
    let config = ingest.and_then(|ingest| load(manifests, ingest).ok());
    if let Some(config) = config {
        let config: BrokerConfig = config.section("broker").unwrap();
        let streams = (config.push_max_bytes + config.log_max_bytes) as u64;
        let needed = streams * ROOM_PERCENT / 100;
        let store = bytes(setting(&text, "max_file_store"));
        if store < needed {
            findings.push(format!("nats.conf: max_file_store {store} is less than the streams' {needed}"));
        }
        let servers = number(broker.manifest, "/spec/replicas").unwrap_or(1);
        if config.replicas > servers {
            findings.push(format!("broker.replicas is {}, of {servers} servers", config.replicas));
        }
    }
    findings
}

fn container<'a>(broker: &Workload<'a>) -> &'a Value {
    &broker.containers()[0]
}

/// The variables of the container, with something for what comes from Secrets.
fn environment(broker: &Workload<'_>) -> BTreeMap<String, String> {
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    for variable in items(container(broker), "/env") {
        let mut value = text(variable, "/value").to_owned();
        for (name, earlier) in &environment {
            value = value.replace(&format!("$({name})"), earlier);
        }
        if value.is_empty() {
            value = format!("p{}", environment.len());
        }
        environment.insert(text(variable, "/name").to_owned(), value);
    }
    environment
}

/// nats.conf without comments, its variables put in.
fn configuration(manifests: &[Value], broker: &Workload<'_>) -> String {
    let arguments = items(container(broker), "/args");
    let path = arguments
        .iter()
        .filter_map(Value::as_str)
        .find(|argument| argument.starts_with("/etc/nats/"))
        .unwrap();
    let file = super::configuration::mounted(manifests, broker, path).unwrap();
    let lines = file.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut text = lines.collect::<Vec<_>>().join("\n");
    for (name, value) in environment(broker) {
        text = text.replace(&format!("${name}"), &value);
    }
    text
}

/// The value of a key, the first one of that name that is no comment.
fn setting<'a>(text: &'a str, key: &str) -> &'a str {
    let mut lines = text.lines().map(str::trim);
    let found = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("nats.conf has no {key}")).trim()
}

/// JetStream lies on the volume that stays, mounted by the server itself.
fn about_volumes(broker: &Workload<'_>, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let store = Path::new(setting(text, "store_dir"));
    let mounts = items(container(broker), "/volumeMounts");
    let mount = mounts.iter().find(|mount| store.starts_with(super::manifests::text(mount, "/mountPath")));
    let claims = items(broker.manifest, "/spec/volumeClaimTemplates");
    let claim =
        mount.and_then(|mount| claims.iter().find(|claim| claim["metadata"]["name"] == mount["name"]));
    match claim {
        None => findings.push(format!("StatefulSet/nats: {} is on no volume that stays", store.display())),
        Some(claim) => {
            let size = bytes(super::manifests::text(claim, "/spec/resources/requests/storage"));
            if size <= bytes(setting(text, "max_file_store")) {
                findings.push("StatefulSet/nats: the volume is no larger than max_file_store".to_owned());
            }
        }
    }
    findings
}

fn about_memory(broker: &Workload<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let resources = &container(broker)["resources"];
    if resources["requests"] != resources["limits"] {
        findings.push("StatefulSet/nats: requests are not limits".to_owned());
    }
    let variables = items(container(broker), "/env");
    let limit = variables.iter().find(|variable| text(variable, "/name") == "GOMEMLIMIT");
    let limit = limit.map_or(u64::MAX, |limit| bytes(text(limit, "/value")));
    if limit > bytes(text(resources, "/limits/memory")) * 9 / 10 {
        findings.push("StatefulSet/nats: GOMEMLIMIT leaves less than a tenth of the memory".to_owned());
    }
    findings
}

/// Several servers name each other as routes; one alone must not wait for others.
fn about_servers(broker: &Workload<'_>, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let servers = number(broker.manifest, "/spec/replicas").unwrap_or(1);
    let service = super::manifests::text(broker.manifest, "/spec/serviceName");
    let route = |server| format!("@nats-{server}.{service}:6222");
    let named = (0..servers).filter(|server| text.contains(&route(*server))).count() as u64;
    let clustered = text.contains("cluster: {") || text.contains("cluster {");
    let routes = text.matches(":6222").count() as u64;
    let fits = if servers == 1 { !clustered && routes == 0 } else { named == servers && routes == servers };
    if !fits {
        findings.push(format!("nats.conf: {routes} routes, {named} of them to the {servers} servers"));
    }
    for (port, key) in [("client", "port"), ("monitor", "http_port")] {
        let listens = setting(text, key).parse().ok();
        if listens.is_none() || broker.port(&json!(port)) != listens {
            findings.push(format!("nats.conf: {key} is not the port {port}"));
        }
    }
    findings
}

/// Writes the files of the ConfigMap and has nats-server read them, with the variables that its container gets.
pub fn accepted(manifests: &[Value]) -> Result<(), String> {
    let workloads = workloads(manifests);
    let broker = workloads.iter().find(|workload| workload.component() == "broker").unwrap();
    let volumes = items(broker.pod(), "/volumes");
    let map = volumes.iter().map(|volume| text(volume, "/configMap/name")).find(|name| !name.is_empty());
    let map = find(manifests, "ConfigMap", map.unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in map["data"].as_object().unwrap() {
        std::fs::write(folder.path().join(name), content.as_str().unwrap()).unwrap();
    }
    let environment: Vec<_> = environment(broker).into_iter().collect();
    test_nats(folder.path(), &environment)
}
