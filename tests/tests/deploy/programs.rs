//! The programs that render and check: pinned in `tools/requirements-deploy.txt`, fetched by `make test`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::NamedTempFile;
use tidelog_cli::local::{Given, Toolbox};

use super::manifests::parse;

/// The repository.
pub const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The API's version that the manifests are written for.
const KUBERNETES: &str = "1.37";

/// The text of a file of the repository.
pub fn file(path: &str) -> String {
    let text = std::fs::read_to_string(Path::new(WORKSPACE).join(path));
    text.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The overlay for one node, rendered once.
pub static SINGLE_NODE: LazyLock<Vec<Value>> = LazyLock::new(|| render("overlays/single-node"));

/// The overlay for production, rendered once.
pub static PRODUCTION: LazyLock<Vec<Value>> = LazyLock::new(|| render("overlays/production"));

/// Both, with their names.
pub fn overlays() -> [(&'static str, &'static [Value]); 2] {
    [("single-node", &SINGLE_NODE), ("production", &PRODUCTION)]
}

/// The overlay for production with the component `nats-tls`, rendered once.
pub static WITH_TLS: LazyLock<Vec<Value>> = LazyLock::new(|| render("../../tests/tests/deploy/nats-tls"));

fn render(folder: &str) -> Vec<Value> {
    let folder = Path::new(WORKSPACE).join("deploy/kubernetes").join(folder);
    let output = run(Command::new(tools().join("bin/kubectl")).arg("kustomize").arg(folder));
    // A warning is about something that will not work any more some day.
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && warnings.is_empty(), "{warnings}");
    parse(&String::from_utf8(output.stdout).unwrap())
}

/// What `kubernetes-validate` says against manifests of Kubernetes itself, strictly; a warning counts.
pub fn validate(manifests: &[Value]) -> Vec<String> {
    let mut file = NamedTempFile::new().unwrap();
    // JSON is YAML.
    let documents: Vec<String> = manifests.iter().map(Value::to_string).collect();
    file.write_all(documents.join("\n---\n").as_bytes()).unwrap();
    let mut command = Command::new("python3");
    command.args(["-m", "kubernetes_validate", "--strict", "-k", KUBERNETES]).arg(file.path());
    let output = run(command.env("PYTHONPATH", tools()));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    let passed = lines.iter().filter(|line| line.starts_with("INFO ") && line.contains(" passed ")).count();
    let findings: Vec<String> =
        lines.iter().filter(|line| !line.starts_with("INFO ")).map(ToString::to_string).collect();
    assert_eq!(passed == manifests.len(), findings.is_empty(), "{said}");
    assert_eq!(output.status.success(), findings.is_empty(), "{said}");
    findings
}

/// What `nats-server -t` says of the configuration in that folder, with those variables.
pub fn test_nats(folder: &Path, environment: &[(String, String)]) -> Result<(), String> {
    let toolbox = Toolbox::fetch(&Given::from_environment(), |line| println!("{line}")).unwrap();
    let mut command = Command::new(toolbox.nats_server());
    command.env_clear().envs(environment.iter().cloned()).arg("-t").arg("-c").arg(folder.join("nats.conf"));
    let output = run(&mut command);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// The folder into which the Makefile has fetched the pins: named after their list's content.
fn tools() -> &'static Path {
    static TOOLS: LazyLock<PathBuf> = LazyLock::new(|| {
        let list = Path::new(WORKSPACE).join("tools/requirements-deploy.txt");
        let output = run(Command::new("cksum").stdin(std::fs::File::open(list).unwrap()));
        let checksum = String::from_utf8(output.stdout).unwrap();
        let checksum = checksum.split(' ').next().unwrap();
        let toolbox = std::env::var_os("TIDELOG_TOOLBOX").filter(|path| !path.is_empty());
        let toolbox = toolbox.map_or_else(|| Path::new(WORKSPACE).join(".toolbox"), PathBuf::from);
        let folder = toolbox.join(format!("deploy-{checksum}"));
        assert!(folder.is_dir(), "kubectl is not in {0}: run `make {0}`, or `make test`", folder.display());
        folder
    });
    &TOOLS
}
