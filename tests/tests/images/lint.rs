//! hadolint has nothing to say about the Dockerfile.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::repository::{read, root};

/// The folder into which the Makefile fetches what its list names: named after the list's content.
fn hadolint() -> PathBuf {
    let list = std::fs::File::open(root().join("tools/requirements-images.txt")).unwrap();
    let sum = Command::new("cksum").stdin(list).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap();
    let toolbox = root().join(std::env::var_os("TIDELOG_TOOLBOX").unwrap_or(".toolbox".into()));
    let program = toolbox.join(format!("images-{}/bin/hadolint", sum.split(' ').next().unwrap()));
    assert!(program.exists(), "{} is missing: `make test` fetches it", program.display());
    program
}

/// What it says of a Dockerfile, whatever the severity. No rule is left out.
fn said(dockerfile: &str) -> String {
    // Not what somebody has in their home folder.
    let configuration = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(configuration.path(), "ignored: []\n").unwrap();
    let mut command = Command::new(hadolint());
    command.args(["--no-color", "--failure-threshold", "style", "--strict-labels", "--config"]);
    command.arg(configuration.path());
    for label in
        ["version:text", "revision:text", "source:url", "documentation:url", "licenses:text", "title:text"]
    {
        command.args(["--require-label", &format!("org.opencontainers.image.{label}")]);
    }
    command.args(["--require-label", "org.opencontainers.image.description:text", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(dockerfile.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.success(), text.is_empty(), "{text}");
    text
}

#[test]
fn the_dockerfile_passes_every_rule_and_ignores_none() {
    let dockerfile = read("deploy/Dockerfile");
    assert!(!dockerfile.contains("hadolint"), "no rule is ignored in the file");
    assert_eq!(said(&dockerfile), "");
}

#[test]
fn mistakes_in_the_dockerfile_are_found() {
    let dockerfile = read("deploy/Dockerfile");
    let check = |from: &str, to: &str, rule: &str| {
        let planted = dockerfile.replace(from, to);
        assert_ne!(planted, dockerfile, "{from}");
        let said = said(&planted);
        assert!(said.contains(rule), "{rule}: {said}");
    };
    check("FROM ${RUNTIME_IMAGE}", "FROM debian", "DL3006");
    check("FROM ${RUNTIME_IMAGE}", "FROM debian:latest", "DL3007");
    check("WORKDIR /build", "WORKDIR build", "DL3000");
    check("\"${package%/*}/src\" &&", "${package%/*}/src &&", "SC2086");
    check("image.source=\"https://github.com/", "image.source=\"github com/", "DL3052");
    check("image.revision=", "image.revisions=", "DL3049");
    check("USER 10001:10001", "USER root", "DL3002");
    check("CMD [\"tidelog\", \"--help\"]", "CMD tidelog --help", "DL3025");
}
