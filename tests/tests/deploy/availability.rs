//! Whether pods stay when nodes go, stop in peace, and are as many as the configuration allows.

use serde_json::Value;
use tidelog_runtime::config::Config;

use super::configuration::{load, value};
use super::manifests::{Workload, find, id, items, name, number, of_kind, selects, text, workloads};

/// Beyond what a service takes to stop by itself.
const MARGIN_SECONDS: u64 = 5;

/// Of PostgreSQL's connections, for people, backups and the operator.
const OTHER_CONNECTIONS: u64 = 20;

/// `gateway.drain_delay_ms`, where the configuration does not have it.
const DRAIN_DELAY_MS: u64 = 5000;

/// What is wrong with how pods come, stay and go.
pub fn findings(manifests: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    for workload in &workloads(manifests) {
        if workload.stays() {
            findings.extend(about_disruption(manifests, workload));
        }
        if workload.is_ours() && workload.stays() {
            // What cannot be loaded is told by `configuration`.
            if let Ok(config) = load(manifests, workload) {
                findings.extend(about_stopping(workload, &config));
                findings.extend(about_number(manifests, workload, &config));
            }
        }
    }
    for scaler in scalers(manifests) {
        let target = text(scaler, "/spec/scaleTargetRef/name");
        match find(manifests, "Deployment", target) {
            None => findings.push(format!("{}: there is no Deployment {target}", id(scaler))),
            Some(found) if found.pointer("/spec/replicas").is_some() => {
                findings.push(format!("{}: Deployment/{target} says its own number of replicas", id(scaler)));
            }
            Some(_) => {}
        }
    }
    findings.extend(about_connections(manifests));
    findings
}

fn about_disruption(manifests: &[Value], workload: &Workload<'_>) -> Vec<String> {
    let mut findings = Vec::new();
    let at = workload.id();
    let budgets = of_kind(manifests, "PodDisruptionBudget");
    let budgets = budgets.iter().filter(|budget| selects(&budget["spec"]["selector"], workload.labels()));
    // Two budgets for one pod make every eviction fail. The database of one node has no second pod to wait for.
    let wanted = usize::from(workload.component() != "database");
    let found = budgets.count();
    if found != wanted {
        findings.push(format!("{at}: {found} PodDisruptionBudgets"));
    }
    for key in ["kubernetes.io/hostname", "topology.kubernetes.io/zone"] {
        let constraints = items(workload.pod(), "/topologySpreadConstraints");
        let spread = constraints.iter().find(|constraint| text(constraint, "/topologyKey") == key);
        let selects = spread.is_some_and(|spread| selects(&spread["labelSelector"], workload.labels()));
        if wanted == 1 && !selects {
            findings.push(format!("{at}: not spread over {key}"));
        }
    }
    findings
}

fn about_stopping(workload: &Workload<'_>, config: &Config) -> Vec<String> {
    let seconds = |section, key| value(config, section, key).unwrap();
    let takes = if workload.component() == "gateway" {
        let delay = value(config, "gateway", "drain_delay_ms").unwrap_or(DRAIN_DELAY_MS);
        delay.div_ceil(1000) + seconds("gateway", "drain_seconds")
    } else {
        let statement = seconds("database", "statement_timeout_ms").div_ceil(1000);
        seconds(workload.component(), "drain_seconds") + statement
    };
    let grace = number(workload.pod(), "/terminationGracePeriodSeconds").unwrap_or(30);
    if grace < takes + MARGIN_SECONDS {
        return vec![format!(
            "{}: it may take {takes} s to stop, and is killed after {grace} s",
            workload.id()
        )];
    }
    Vec::new()
}

fn scalers(manifests: &[Value]) -> Vec<&Value> {
    [of_kind(manifests, "HorizontalPodAutoscaler"), of_kind(manifests, "ScaledObject")].concat()
}

/// The most pods that a workload may have at once, those of a rollout included.
fn most(manifests: &[Value], workload: &Workload<'_>) -> u64 {
    let scaler = scalers(manifests)
        .into_iter()
        .find(|scaler| text(scaler, "/spec/scaleTargetRef/name") == name(workload.manifest));
    let limit = scaler.and_then(|scaler| {
        number(scaler, "/spec/maxReplicas").or_else(|| number(scaler, "/spec/maxReplicaCount"))
    });
    let replicas = limit.or_else(|| number(workload.manifest, "/spec/replicas")).unwrap_or(1);
    replicas + number(workload.manifest, "/spec/strategy/rollingUpdate/maxSurge").unwrap_or(0)
}

fn about_number(manifests: &[Value], workload: &Workload<'_>, config: &Config) -> Vec<String> {
    let most = most(manifests, workload);
    let allowed = value(config, "ingest", "max_replicas").unwrap();
    if workload.component() == "ingest" && most > allowed {
        return vec![format!(
            "{}: up to {most} replicas, and ingest.max_replicas is {allowed}",
            workload.id()
        )];
    }
    Vec::new()
}

/// All replicas together never ask PostgreSQL for more connections than it has.
fn about_connections(manifests: &[Value]) -> Vec<String> {
    let used = workloads(manifests)
        .iter()
        .filter(|workload| workload.is_ours())
        .filter_map(|workload| {
            let config = load(manifests, workload).ok()?;
            // One more of each looks whether the database works.
            Some(most(manifests, workload) * (value(&config, "database", "max_connections")? + 1))
        })
        .sum::<u64>();
    let cluster = of_kind(manifests, "Cluster");
    let cluster = cluster.first().map(|cluster| text(cluster, "/spec/postgresql/parameters/max_connections"));
    let server = find(manifests, "StatefulSet", "postgres");
    let argument = server.and_then(|server| {
        let mut arguments =
            items(server, "/spec/template/spec/containers/0/args").iter().filter_map(Value::as_str);
        arguments.find_map(|argument| argument.strip_prefix("max_connections="))
    });
    let has: u64 = cluster.or(argument).and_then(|text| text.parse().ok()).unwrap_or(100);
    if used + OTHER_CONNECTIONS > has {
        return vec![format!("PostgreSQL has {has} connections, the services use up to {used}")];
    }
    Vec::new()
}
