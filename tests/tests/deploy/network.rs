//! Who may talk to whom, as the policies say it: what is needed, and no more.

use serde_json::{Value, json};

use super::manifests::{Workload, find, items, number, of_kind, selects, workloads};

/// What must go through, and what must not: from a component, to a component, on a port.
const FLOWS: [(&str, &str, u64, bool); 12] = [
    ("gateway", "broker", 4222, true),
    ("ingest", "broker", 4222, true),
    ("projector", "broker", 4222, true),
    ("migrate", "broker", 4222, true),
    ("broker", "broker", 6222, true),
    // It has no business with the broker, nor has anybody with the others' operations, nor with the admin API.
    ("compactor", "broker", 4222, false),
    ("gateway", "broker", 6222, false),
    ("gateway", "broker", 8222, false),
    ("ingest", "projector", 9082, false),
    ("projector", "gateway", 8081, false),
    ("broker", "ingest", 9081, false),
    ("broker", "gateway", 8080, false),
];

/// Components that read or write PostgreSQL.
const WITH_DATABASE: [&str; 5] = ["gateway", "ingest", "projector", "compactor", "migrate"];

/// What goes through and should not, and the other way round.
pub fn findings(manifests: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    let denied = find(manifests, "NetworkPolicy", "default-deny").map(|policy| &policy["spec"]);
    if denied != Some(&json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})) {
        findings.push("NetworkPolicy/default-deny: does not deny everything".to_owned());
    }
    let workloads = workloads(manifests);
    let of = |component: &str| workloads.iter().find(|workload| workload.component() == component);
    let database = WITH_DATABASE.map(|component| (component, "database", 5432, true));
    for (from, to, port, wanted) in FLOWS.into_iter().chain(database) {
        // CloudNativePG's pods are made by an operator, with these labels.
        let operators = json!({"cnpg.io/cluster": "tidelog-db"});
        let to_labels = of(to).map_or(&operators, Workload::labels);
        let Some(sender) = of(from) else { continue };
        let leaves = allows(manifests, "egress", "to", sender.labels(), to_labels, port);
        let enters = allows(manifests, "ingress", "from", to_labels, sender.labels(), port);
        if (leaves && enters) != wanted {
            let verb = if wanted { "cannot reach" } else { "reaches" };
            findings.push(format!("NetworkPolicy: {from} {verb} {to} on {port}"));
        }
    }
    findings
}

/// Whether some policy of the pods with the labels `own` lets through what comes from, or goes to, those with `other`.
fn allows(manifests: &[Value], direction: &str, side: &str, own: &Value, other: &Value, port: u64) -> bool {
    of_kind(manifests, "NetworkPolicy").into_iter().any(|policy| {
        let spec = &policy["spec"];
        let rules = items(spec, &format!("/{direction}"));
        selects(&spec["podSelector"], own)
            && rules.iter().any(|rule| {
                let peers = items(rule, &format!("/{side}"));
                let peer = peers.is_empty() || peers.iter().any(|peer| includes(peer, other));
                peer && items(rule, "/ports").iter().any(|allowed| {
                    let first = number(allowed, "/port").unwrap_or_default();
                    (first..=number(allowed, "/endPort").unwrap_or(first)).contains(&port)
                })
            })
    })
}

/// Whether a peer is a pod of this namespace with those labels.
fn includes(peer: &Value, labels: &Value) -> bool {
    // Other namespaces have names; only `{}` means this one, too.
    let here = peer.get("namespaceSelector").is_none_or(|selector| *selector == json!({}));
    here && peer.get("podSelector").is_some_and(|selector| selects(selector, labels))
}
