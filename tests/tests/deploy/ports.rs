//! Ports: what the services listen on, what pods and Services say, what policies let through.

use serde_json::Value;
use std::net::SocketAddr;
use tidelog_gateway::{AdminConfig, GatewayConfig};
use tidelog_runtime::config::Config;

use super::configuration::load;
use super::manifests::{Workload, find, id, items, name, number, of_kind, selects, text, workloads};

/// Where ports do not agree.
pub fn findings(manifests: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    for workload in workloads(manifests).iter().filter(|workload| workload.is_ours() && workload.stays()) {
        // What cannot be loaded is told by `configuration`.
        if let Ok(config) = load(manifests, workload) {
            findings.extend(about_listening(workload, &config));
        }
    }
    for service in of_kind(manifests, "Service") {
        findings.extend(about_service(manifests, service));
    }
    for policy in of_kind(manifests, "NetworkPolicy") {
        findings.extend(about_policy(manifests, policy));
    }
    findings
}

/// What a service listens on, by the name of its port.
fn listening(component: &str, config: &Config) -> Vec<(&'static str, SocketAddr)> {
    let gateway: GatewayConfig = config.section("gateway").unwrap();
    let admin: AdminConfig = config.section("admin").unwrap();
    if component != "gateway" {
        let section: std::collections::BTreeMap<String, Value> = config.section(component).unwrap();
        return vec![("operations", section["operations_listen"].as_str().unwrap().parse().unwrap())];
    }
    let mut listening = vec![("public", gateway.listen), ("operations", gateway.operations_listen)];
    listening.extend(admin.listen.map(|address| ("admin", address)));
    listening
}

fn about_listening(workload: &Workload<'_>, config: &Config) -> Vec<String> {
    let listening = listening(workload.component(), config);
    let ports = workload.ports();
    let mut findings = Vec::new();
    for (name, address) in &listening {
        if !address.ip().is_unspecified() {
            findings.push(format!("{}: {name} listens on {address}, where nobody comes in", workload.id()));
        }
        if !ports.contains(&(name, u64::from(address.port()))) {
            findings.push(format!("{}: no port {name} with number {}", workload.id(), address.port()));
        }
    }
    if ports.len() != listening.len() {
        findings.push(format!(
            "{}: {} ports, and it listens on {}",
            workload.id(),
            ports.len(),
            listening.len()
        ));
    }
    findings
}

fn about_service(manifests: &[Value], service: &Value) -> Vec<String> {
    let workloads = workloads(manifests);
    let selected = workloads
        .iter()
        .filter(|workload| workload.stays() && selects(&service["spec"]["selector"], workload.labels()));
    let selected: Vec<_> = selected.collect();
    let mut findings = Vec::new();
    if selected.is_empty() {
        findings.push(format!("{}: selects nothing", id(service)));
    }
    for port in items(service, "/spec/ports") {
        for workload in &selected {
            if workload.port(&port["targetPort"]).is_none() {
                findings.push(format!(
                    "{}: {} has no port {}",
                    id(service),
                    workload.id(),
                    port["targetPort"]
                ));
            }
        }
    }
    findings
}

/// A policy lets through what its pods, or the pods that they call, listen on. A selector of pods selects some.
fn about_policy(manifests: &[Value], policy: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let own = pods(manifests, &policy["spec"]["podSelector"]);
    let mut must = |pods: &Pods<'_>, port: &Value| match pods {
        Pods::None => findings.push(format!("{}: selects nothing", id(policy))),
        Pods::Operators => {}
        Pods::Ours(pods) => {
            let first = number(port, "/port").unwrap_or_default();
            let range = first..=number(port, "/endPort").unwrap_or(first);
            if !pods.iter().flat_map(Workload::ports).any(|(_, number)| range.contains(&number)) {
                findings.push(format!("{}: nothing listens on {first}", id(policy)));
            }
        }
    };
    for rule in items(policy, "/spec/ingress") {
        for port in items(rule, "/ports") {
            must(&own, port);
        }
    }
    for rule in items(policy, "/spec/egress") {
        for peer in items(rule, "/to").iter().filter(|peer| peer.get("namespaceSelector").is_none()) {
            if let Some(selector) = peer.get("podSelector") {
                let called = pods(manifests, selector);
                for port in items(rule, "/ports") {
                    must(&called, port);
                }
            }
        }
    }
    findings
}

enum Pods<'a> {
    None,
    /// Made by CloudNativePG, whose ports are not ours to say.
    Operators,
    Ours(Vec<Workload<'a>>),
}

fn pods<'a>(manifests: &'a [Value], selector: &Value) -> Pods<'a> {
    let cluster = text(selector, "/matchLabels/cnpg.io~1cluster");
    if find(manifests, "Cluster", cluster).is_some_and(|found| name(found) == cluster) {
        return Pods::Operators;
    }
    let selected = workloads(manifests).into_iter().filter(|workload| selects(selector, workload.labels()));
    let selected: Vec<_> = selected.collect();
    if selected.is_empty() { Pods::None } else { Pods::Ours(selected) }
}
