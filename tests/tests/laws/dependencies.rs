//! Who may depend on whom, and where versions stand.

use std::collections::BTreeSet;

use super::workspace::{File, assert_none, cargo, packages, services};

#[test]
fn services_depend_on_what_is_shared_and_never_on_each_other() {
    let services = services();
    let foreign =
        packages().iter().filter(|package| services.contains(&package.folder)).flat_map(|service| {
            let foreign = service.neighbours.iter().filter(|neighbour| !neighbour.starts_with("shared/"));
            foreign.map(|neighbour| format!("{} depends on {neighbour}", service.folder))
        });
    assert_none("services depend on shared/* alone", foreign);
}

#[test]
fn what_is_shared_depends_on_nothing_but_what_is_shared_and_the_core_on_nothing() {
    let shared = packages().iter().filter(|package| package.folder.starts_with("shared/"));
    let foreign = shared.flat_map(|package| {
        let allowed = |neighbour: &str| package.folder != "shared/events" && neighbour.starts_with("shared/");
        let foreign = package.neighbours.iter().filter(move |neighbour| !allowed(neighbour));
        foreign.map(|neighbour| format!("{} depends on {neighbour}", package.folder))
    });
    assert_none("shared/* is the bottom, shared/events the very bottom", foreign);
}

#[test]
fn the_device_sdk_depends_on_the_core_alone() {
    let client = packages().iter().filter(|package| package.folder == "client");
    for package in client {
        assert!(
            package.neighbours.iter().all(|folder| folder == "shared/events"),
            "{:?}",
            package.neighbours
        );
    }
}

#[test]
fn the_core_has_no_runtime_no_broker_no_database_and_no_http_below_it() {
    let tree = cargo(&["tree", "-p", "tidelog-events", "-e", "normal", "--prefix", "none"]);
    let below: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(below.contains("serde_json"), "this is the tree: {below:?}");
    for banned in [
        "tokio",
        "async-nats",
        "async-std",
        "smol",
        "mio",
        "sqlx",
        "sqlx-core",
        "tokio-postgres",
        "rusqlite",
        "axum",
        "hyper",
        "reqwest",
        "h2",
        "ureq",
        "tonic",
        "fastrand",
        "rand",
    ] {
        assert!(!below.contains(banned), "tidelog-events has {banned} below it");
    }
}

/// The entries of a manifest's tables of that kind, with their line.
fn entries(manifest: &File, table: impl Fn(&str) -> bool) -> Vec<(&str, &str)> {
    let mut inside = false;
    let mut entries = Vec::new();
    for line in manifest.text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            inside = table(name.trim_end_matches(']'));
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            entries.push((name, line));
        }
    }
    entries
}

fn manifests() -> Vec<File> {
    packages().iter().map(|package| File::at(&format!("{}/Cargo.toml", package.folder))).collect()
}

#[test]
fn every_dependency_is_named_once_in_the_workspace() {
    let findings = manifests().into_iter().flat_map(|manifest| {
        let own = entries(&manifest, |table| table.contains("dependencies"));
        let own = own.into_iter().filter(|(_, line)| !line.contains("workspace = true"));
        own.map(|(_, line)| format!("{}: {line}", manifest.path)).collect::<Vec<_>>()
    });
    assert_none("members say `name.workspace = true`", findings);
}

#[test]
fn the_workspace_names_no_dependency_that_nobody_uses() {
    let manifests = manifests();
    let used: BTreeSet<&str> = manifests
        .iter()
        .flat_map(|manifest| entries(manifest, |table| table.contains("dependencies")))
        .map(|(name, _)| name)
        .collect();
    let workspace = File::at("Cargo.toml");
    let named = entries(&workspace, |table| table == "workspace.dependencies");
    assert!(named.len() > 20, "{named:?}");
    let unused = named.into_iter().filter(|(name, _)| !used.contains(name)).map(|(name, _)| name.to_owned());
    assert_none("dependencies that nobody uses", unused);
}

#[test]
fn every_package_has_the_workspaces_lints_and_licence_and_our_name() {
    let findings = packages().iter().filter(|package| {
        let manifest = File::at(&format!("{}/Cargo.toml", package.folder));
        package.license != "MIT OR Apache-2.0"
            || !package.name.starts_with("tidelog-")
            || !manifest.text.contains("[lints]\nworkspace = true\n")
    });
    assert_none("packages of another kind", findings.map(|package| package.folder.clone()));
    for (file, words) in [("LICENSE-MIT", "MIT License"), ("LICENSE-APACHE", "Apache License")] {
        assert!(File::at(file).text.contains(words), "{file}");
    }
}
