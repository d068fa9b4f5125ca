//! Probes: there, on the port and the paths that the services have, in keeping with their own hysteresis.

use serde_json::{Value, json};
use tidelog_runtime::readiness::TOLERANCE;

use super::manifests::{Workload, number, text, workloads};
use super::programs::file;

const PROBES: [&str; 3] = ["startupProbe", "readinessProbe", "livenessProbe"];

/// Endpoints should leave their Service at most so long after a dependency went away, the service's own patience included.
const RED_SECONDS_MAX: u64 = 15;

/// What is wrong with the probes.
pub fn findings(manifests: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    for workload in workloads(manifests).iter().filter(|workload| workload.stays()) {
        for container in workload.containers() {
            let at = format!("{}: container {}", workload.id(), text(container, "/name"));
            let mut say = |what: String| findings.push(format!("{at}: {what}"));
            for probe in PROBES {
                match container.get(probe) {
                    None => say(format!("no {probe}")),
                    Some(found) => about(workload, probe, found).into_iter().for_each(&mut say),
                }
            }
        }
    }
    findings
}

fn about(workload: &Workload<'_>, probe: &str, found: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let path = text(found, "/httpGet/path");
    let port = &found["httpGet"]["port"];
    let wanted = match (workload.is_ours(), workload.component(), probe) {
        (true, _, "readinessProbe") => "/readyz",
        // What depends on others would be restarted because they are away, which helps nobody.
        (true, ..) | (_, "broker", "startupProbe") => "/healthz",
        (_, "broker", "readinessProbe") => "/healthz?js-server-only=true",
        (_, "broker", _) => "/healthz?js-enabled-only=true",
        _ => return findings,
    };
    if path != wanted {
        findings.push(format!("{probe} asks {path}, not {wanted}"));
    }
    let meant = if workload.is_ours() { "operations" } else { "monitor" };
    if workload.port(port) != workload.port(&json!(meant)) || workload.port(port).is_none() {
        findings.push(format!("{probe} asks port {port}, which is not `{meant}`"));
    }
    let seconds = |probe: &Value| {
        number(probe, "/periodSeconds").unwrap_or(10) * number(probe, "/failureThreshold").unwrap_or(3)
    };
    if workload.is_ours() && probe == "readinessProbe" {
        let red = seconds(found) + TOLERANCE.as_secs();
        if red > RED_SECONDS_MAX {
            findings.push(format!("readiness turns red after {red} s"));
        }
    }
    if probe == "livenessProbe" && seconds(found) < 30 {
        findings.push(format!("a pause of {} s gets it killed", seconds(found)));
    }
    findings
}

#[test]
fn the_paths_of_our_probes_are_served() {
    let routes = file("shared/runtime/src/operations.rs");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(routes.contains(&format!(".route(\"{path}\", ")), "{path}");
    }
}
