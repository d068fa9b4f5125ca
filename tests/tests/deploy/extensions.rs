//! What the extensions' manifests name: Services and their ports, metrics' ports, routes.

use serde_json::Value;

use super::manifests::{find, id, items, of_kind, selects, text};

/// What they name and is not there.
pub fn findings(manifests: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    for monitor in of_kind(manifests, "ServiceMonitor") {
        let services = of_kind(manifests, "Service");
        let selected = services
            .into_iter()
            .filter(|service| selects(&monitor["spec"]["selector"], &service["metadata"]["labels"]));
        let selected: Vec<_> = selected.collect();
        for endpoint in items(monitor, "/spec/endpoints") {
            let has = |service: &&Value| {
                items(service, "/spec/ports").iter().any(|port| port["name"] == endpoint["port"])
            };
            if selected.is_empty() || !selected.iter().all(has) {
                findings.push(format!("{}: no Service has the port {}", id(monitor), endpoint["port"]));
            }
            if text(endpoint, "/path") != "/metrics" {
                findings.push(format!("{}: metrics are at /metrics", id(monitor)));
            }
        }
    }
    for route in of_kind(manifests, "HTTPRoute") {
        findings.extend(about_route(manifests, route));
    }
    findings
}

fn about_route(manifests: &[Value], route: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    for parent in items(route, "/spec/parentRefs") {
        let gateway = find(manifests, "Gateway", text(parent, "/name"));
        let listeners = gateway.map_or(&[][..], |gateway| items(gateway, "/spec/listeners"));
        if !listeners.iter().any(|listener| listener["name"] == parent["sectionName"]) {
            findings.push(format!("{}: there is no listener {}", id(route), parent["sectionName"]));
        }
    }
    let backends = items(route, "/spec/rules").iter().flat_map(|rule| items(rule, "/backendRefs"));
    for backend in backends {
        let service = find(manifests, "Service", text(backend, "/name"));
        let ports = service.map_or(&[][..], |service| items(service, "/spec/ports"));
        let port = ports.iter().find(|port| port["port"] == backend["port"]);
        // Devices come in where they may, and only there.
        if port.is_none_or(|port| text(port, "/targetPort") != "public") {
            findings.push(format!("{}: {} has no public port", id(route), text(backend, "/name")));
        }
    }
    findings
}
