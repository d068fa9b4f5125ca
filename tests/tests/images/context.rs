//! What `deploy/Dockerfile` copies, builds and installs is there, and is all that is needed.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use super::repository::{installed, metadata, packages, programs, read};
use super::steps::{Build, names};

/// What is wrong with what is copied: one sentence each.
fn findings(build: &Build) -> Vec<String> {
    let all = build.copied_before(1);
    let absent = all.iter().filter(|source| !build.context.iter().any(|path| names(source, path)));
    let mut findings: Vec<String> =
        absent.map(|source| format!("{source} is copied, and is not in the context")).collect();
    let early = build.copied_before(0);
    for package in packages() {
        let manifest = format!("{}/Cargo.toml", package.folder);
        if !early.contains(&manifest.as_str()) {
            findings.push(format!("{manifest} is not copied before dependencies are built"));
        }
    }
    for folder in built_from() {
        let library = format!("{folder}/src/lib.rs");
        if !build.has(&library) {
            findings.push(format!("{library} is not copied before the programs are built"));
        }
    }
    for path in &build.context {
        if !all.iter().any(|source| names(source, path)) {
            findings.push(format!("{path} is sent to the builder, and not copied"));
        }
    }
    findings.extend(included(build));
    findings
}

/// The folders of the packages that the installed programs are built from.
fn built_from() -> BTreeSet<String> {
    let packages = packages();
    let mut folders: BTreeSet<String> = BTreeSet::new();
    let mut waiting: Vec<String> = installed().into_iter().map(|package| package.folder).collect();
    while let Some(folder) = waiting.pop() {
        if folders.insert(folder.clone()) {
            let package = packages.iter().find(|package| package.folder == folder).unwrap();
            waiting.extend(package.parts.iter().cloned());
        }
    }
    folders
}

/// Files that sources are compiled with and that the builder does not have.
fn included(build: &Build) -> Vec<String> {
    let mut findings = Vec::new();
    for source in build.context.iter().filter(|path| is_rust(path) && path.contains("/src/")) {
        let text = read(source);
        for call in ["include_str!(\"", "include_bytes!(\""] {
            for rest in text.split(call).skip(1) {
                let named = Path::new(source).parent().unwrap().join(rest.split('"').next().unwrap());
                let named = without_dots(&named);
                if !build.has(&named) {
                    findings.push(format!("{source} includes {named}, which the builder does not have"));
                }
            }
        }
    }
    findings
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|ending| ending == "rs")
}

fn without_dots(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for component in path.components() {
        if component == Component::ParentDir {
            parts.pop();
        } else {
            parts.push(component.as_os_str().to_str().unwrap());
        }
    }
    parts.join("/")
}

#[test]
fn the_builder_has_all_that_the_programs_are_built_from_and_nothing_else() {
    let build = Build::read();
    assert!(build.context.len() > 300, "{} files", build.context.len());
    assert_eq!(findings(&build), Vec::<String>::new());
    assert!(included_files(&build) > 3, "files that sources include are found");
}

fn included_files(build: &Build) -> usize {
    let mut without = build.clone();
    without.context.retain(|path| is_rust(path));
    included(&without).len()
}

#[test]
fn a_manifest_that_is_forgotten_a_source_that_is_away_and_a_file_too_many_are_found() {
    let check = |plant: &dyn Fn(&mut Build), expected: &str| {
        let mut build = Build::read();
        plant(&mut build);
        let findings = findings(&build);
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{expected}: {findings:?}");
    };
    let forget = |source: &'static str| {
        move |build: &mut Build| {
            for step in &mut build.stages[0].steps {
                step.sources.retain(|copied| copied != source);
            }
        }
    };
    check(&forget("simulation/Cargo.toml"), "simulation/Cargo.toml is not copied before dependencies");
    check(&forget("shared/"), "shared/store/src/lib.rs is not copied before the programs");
    check(&forget("config/"), "includes config/default.toml, which the builder does not have");
    let ignore = |build: &mut Build| build.context.retain(|path| !path.starts_with("tools/"));
    check(&ignore, "tools/requirements.txt is copied, and is not in the context");
    let send = |build: &mut Build| build.context.extend(["deploy/.env".to_owned()]);
    check(&send, "deploy/.env is sent to the builder");
}

#[test]
fn every_program_is_built_and_installed_and_no_other() {
    let build = Build::read();
    let packages: BTreeSet<String> = installed().into_iter().map(|package| package.name).collect();
    let [dependencies, all] = build.commands()[..] else { panic!("two commands") };
    for command in [dependencies, all] {
        let (_, behind) = command.split_once("cargo build --release --locked ").unwrap();
        let words: Vec<&str> = behind.split_whitespace().collect();
        let named = words.windows(2).filter(|pair| pair[0] == "-p").map(|pair| pair[1].to_owned());
        assert_eq!(named.collect::<BTreeSet<_>>(), packages);
    }
    let installed = all.split_whitespace().filter_map(|word| word.strip_prefix("target/release/"));
    assert_eq!(installed.map(str::to_owned).collect::<BTreeSet<_>>(), programs());
    assert!(
        build.stages[1].steps.iter().any(|step| step.text == "--from=build /build/image/ /usr/local/bin/")
    );
}

#[test]
fn the_compiler_is_the_one_that_the_workspace_asks_for_on_the_debian_that_runs_it() {
    let build = Build::read();
    let wanted = metadata()["packages"][0]["rust_version"].as_str().unwrap();
    let [compiler, runtime] = [&build.stages[0].from, &build.stages[1].from];
    assert!(runtime.starts_with("debian:trixie-20"), "a dated version: {runtime}");
    assert!(compiler.starts_with(&format!("rust:{wanted}.")), "{compiler}, rust-version {wanted}");
    for image in [compiler, runtime] {
        assert!(image.contains("-slim") && image.contains("trixie"), "one C library: {image}");
    }
}
