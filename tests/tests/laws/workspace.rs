//! The repository as the laws see it: its files and its packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// Folders that are not sources.
const SKIPPED: [&str; 2] = ["target", "node_modules"];

/// The repository's folder.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository");
        root.to_owned()
    });
    &ROOT
}

/// A file, read.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path from the root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl File {
    /// The file at that path from the root.
    pub fn at(path: &str) -> Self {
        let text = fs::read_to_string(root().join(path));
        Self { path: path.to_owned(), text: text.unwrap_or_else(|error| panic!("{path}: {error}")) }
    }

    /// Its lines that are not comments, each with its number.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = (1..).zip(self.text.lines());
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The same without what stands behind `#[cfg(test)]`.
    pub fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code_lines().take_while(|(_, line)| line.trim() != "#[cfg(test)]")
    }
}

/// Every file below `folder` whose name ends so.
pub fn files(folder: &str, ending: &str) -> Vec<File> {
    let found: Vec<File> =
        paths(folder).into_iter().filter(|path| path.ends_with(ending)).map(|path| File::at(&path)).collect();
    assert!(!found.is_empty(), "{folder} has files that end in {ending}");
    found
}

/// The paths of all files below `folder`, from the root. Hidden folders and build products are left out.
pub fn paths(folder: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if path.is_dir() {
                if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if let Ok(relative) = path.strip_prefix(root()) {
                paths.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    paths.sort_unstable();
    paths
}

/// Folders in the root that hold a package and no service.
const OTHERS: [&str; 4] = ["cli", "tests", "client", "simulation"];

/// The folders of the services: what stands in the root and is neither the command line, nor the tests, nor the
/// device SDK, nor the simulation of devices.
pub fn services() -> Vec<String> {
    let folders = packages().iter().map(|package| package.folder.clone());
    let services: Vec<String> =
        folders.filter(|folder| !folder.contains('/') && !OTHERS.contains(&folder.as_str())).collect();
    assert!(services.len() >= 2, "{services:?}");
    services
}

/// A package of the workspace.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its folder from the root.
    pub folder: String,
    /// Its licence.
    pub license: String,
    /// The folders of the workspace's packages that it depends on, for its tests too.
    pub neighbours: Vec<String>,
}

/// Every package of the workspace.
pub fn packages() -> &'static [Package] {
    static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| {
        let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
        let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
        let packages = metadata["packages"].as_array().expect("packages");
        packages.iter().map(package).collect()
    });
    &PACKAGES
}

fn package(package: &Value) -> Package {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let manifest = text(&package["manifest_path"]);
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    Package {
        name: text(&package["name"]),
        folder: folder(Path::new(&manifest).parent().expect("a folder")),
        license: text(&package["license"]),
        neighbours: dependencies
            .iter()
            .filter_map(|dependency| dependency["path"].as_str())
            .map(|path| folder(Path::new(path)))
            .collect(),
    }
}

fn folder(path: &Path) -> String {
    let canonical = |path: &Path| path.canonicalize().expect("a folder that exists");
    let path = canonical(path);
    let relative = path.strip_prefix(canonical(root())).expect("a package of the repository");
    relative.to_string_lossy().into_owned()
}

/// What cargo says, without the network where that is possible.
pub fn cargo(arguments: &[&str]) -> String {
    let run = |more: &[&str]| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Command::new(cargo).current_dir(root()).args(arguments).args(more).output().expect("cargo runs")
    };
    let mut output = run(&["--locked", "--offline"]);
    if !output.status.success() {
        output = run(&["--locked"]);
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Fails with all findings at once.
pub fn assert_none(law: &str, findings: impl IntoIterator<Item = String>) {
    let findings: Vec<String> = findings.into_iter().collect();
    assert!(findings.is_empty(), "{law}:\n{}", findings.join("\n"));
}
