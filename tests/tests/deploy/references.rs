//! Whatever a manifest names is there, or is documented as what the operator makes first.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::manifests::{Workload, find, id, items, name, of_kind, selects, text, workloads};
use super::programs::file;

/// What is named and is not there.
pub fn findings(manifests: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    let documented = documented();
    for secret in of_kind(manifests, "Secret") {
        findings.push(format!("{}: secrets are not in the repository", id(secret)));
    }
    for workload in &workloads(manifests) {
        let mut say = |what: String| findings.push(format!("{}: {what}", workload.id()));
        about_selector(workload, &mut say);
        about_volumes(manifests, workload, &documented, &mut say);
        for container in workload.containers() {
            about_mounts(workload, container, &mut say);
            about_variables(manifests, container, &documented, &mut say);
        }
        for (kind, wanted) in [
            ("ServiceAccount", text(workload.pod(), "/serviceAccountName")),
            ("Service", text(workload.manifest, "/spec/serviceName")),
        ] {
            let named = kind == "ServiceAccount" || text(workload.manifest, "/kind") == "StatefulSet";
            if named && find(manifests, kind, wanted).is_none() {
                say(format!("there is no {kind} `{wanted}`"));
            }
        }
    }
    findings.extend(about_roles(manifests, &documented));
    findings.extend(about_namespaces(manifests));
    findings
}

/// The Secrets that the operator makes, and their keys, as the guide lists them.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let guide = file("docs/operations/kubernetes.md");
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let secrets = rows.flat_map(|(names, rest)| {
        let keys = quoted(rest.split(" | ").next().unwrap_or_default());
        names.split("`, `").map(move |name| (name.to_owned(), keys.clone()))
    });
    secrets.collect()
}

/// Each service logs in to PostgreSQL as itself: nobody has another's password, and the owner's role is the migration's alone.
fn about_roles(manifests: &[Value], documented: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut findings = Vec::new();
    for workload in workloads(manifests).iter().filter(|workload| workload.is_ours()) {
        let own = format!("tidelog-{}", workload.component());
        let variables = workload.containers().iter().flat_map(|container| items(container, "/env"));
        for variable in variables.filter(|variable| text(variable, "/name").ends_with("__URL")) {
            let secret = text(variable, "/valueFrom/secretKeyRef/name");
            if secret != own {
                let variable = text(variable, "/name");
                findings.push(format!("{}: {variable} is from `{secret}`, not `{own}`", workload.id()));
            }
        }
    }
    let shipped = file("deploy/postgres/roles.sql");
    for cluster in of_kind(manifests, "Cluster") {
        let owner = &cluster["spec"]["bootstrap"]["initdb"];
        let managed = items(cluster, "/spec/managed/roles").iter();
        let managed = managed.map(|role| (text(role, "/name"), text(role, "/passwordSecret/name")));
        let roles: BTreeMap<_, _> =
            managed.chain([(text(owner, "/owner"), text(owner, "/secret/name"))]).collect();
        for service in ["migrate", "gateway", "ingest", "projector", "compactor"] {
            let (role, secret) = (format!("tidelog_{service}"), format!("tidelog-db-{service}"));
            let known = shipped.contains(&format!("'{role}'")) && documented.contains_key(&secret);
            if roles.get(&*role) != Some(&&*secret) || !known {
                findings.push(format!("{}: no role `{role}` with its own Secret `{secret}`", id(cluster)));
            }
        }
    }
    findings
}

fn about_selector(workload: &Workload<'_>, say: &mut impl FnMut(String)) {
    let selector = workload.manifest.pointer("/spec/selector");
    if workload.stays() && !selector.is_some_and(|selector| selects(selector, workload.labels())) {
        say("its selector does not select its own pods".to_owned());
    }
}

fn about_volumes(
    manifests: &[Value],
    workload: &Workload<'_>,
    documented: &BTreeMap<String, BTreeSet<String>>,
    say: &mut impl FnMut(String),
) {
    for volume in items(workload.pod(), "/volumes") {
        let sources = items(volume, "/projected/sources");
        for source in [std::slice::from_ref(volume), sources].concat() {
            let map = text(&source, "/configMap/name");
            if !map.is_empty() && find(manifests, "ConfigMap", map).is_none() {
                say(format!("there is no ConfigMap `{map}`"));
            }
            let secret = text(&source, "/secret/secretName");
            if !secret.is_empty() && !documented.contains_key(secret) {
                say(format!("docs/operations/kubernetes.md does not tell of the Secret `{secret}`"));
            }
        }
        let claim = text(volume, "/persistentVolumeClaim/claimName");
        if !claim.is_empty() && find(manifests, "PersistentVolumeClaim", claim).is_none() {
            say(format!("there is no PersistentVolumeClaim `{claim}`"));
        }
    }
}

fn about_mounts(workload: &Workload<'_>, container: &Value, say: &mut impl FnMut(String)) {
    let volumes = items(workload.pod(), "/volumes").iter().map(|volume| text(volume, "/name"));
    let claims = items(workload.manifest, "/spec/volumeClaimTemplates").iter().map(name);
    let mounts = items(container, "/volumeMounts").iter().map(|mount| text(mount, "/name"));
    let (volumes, mounts): (BTreeSet<_>, BTreeSet<_>) = (volumes.chain(claims).collect(), mounts.collect());
    for volume in volumes.symmetric_difference(&mounts) {
        say(format!("volume `{volume}` is not there, or not mounted"));
    }
}

fn about_variables(
    manifests: &[Value],
    container: &Value,
    documented: &BTreeMap<String, BTreeSet<String>>,
    say: &mut impl FnMut(String),
) {
    for from in items(container, "/envFrom") {
        let map = text(from, "/configMapRef/name");
        if find(manifests, "ConfigMap", map).is_none() {
            say(format!("there is no ConfigMap `{map}`"));
        }
    }
    for variable in items(container, "/env") {
        if let Some(reference) = variable.pointer("/valueFrom/secretKeyRef") {
            let (secret, key) = (text(reference, "/name"), text(reference, "/key"));
            if !documented.get(secret).is_some_and(|keys| keys.contains(key)) {
                say(format!(
                    "docs/operations/kubernetes.md does not tell of the Secret `{secret}` with `{key}`"
                ));
            }
        }
    }
}

/// Everything lies in the one namespace, which refuses pods with privileges.
fn about_namespaces(manifests: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    for manifest in manifests {
        let namespace = text(manifest, "/metadata/namespace");
        if text(manifest, "/kind") != "Namespace" && namespace != "tidelog" {
            findings.push(format!("{}: lies in the namespace `{namespace}`", id(manifest)));
        }
    }
    let namespace = find(manifests, "Namespace", "tidelog");
    let enforced = namespace.map(|namespace| &namespace["metadata"]["labels"]);
    if enforced.is_none_or(|labels| labels["pod-security.kubernetes.io/enforce"] != "restricted") {
        findings.push("Namespace/tidelog: does not refuse pods with privileges".to_owned());
    }
    findings
}
