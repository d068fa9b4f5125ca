//! The steps of `deploy/Dockerfile` and the context that they are given, as `tools/image-steps` reads them.

use std::collections::BTreeSet;
use std::process::Command;

use serde::Deserialize;

use super::repository::root;

/// What the builder works with.
#[derive(Debug, Clone, Deserialize)]
pub struct Build {
    /// The files that `.dockerignore` lets through.
    pub context: BTreeSet<String>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug, Clone, Deserialize)]
pub struct Stage {
    /// Its name, or nothing.
    pub name: String,
    /// The image that it begins with.
    pub from: String,
    /// Its instructions.
    pub steps: Vec<Step>,
}

/// One instruction.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    /// `COPY`, `RUN` …
    pub instruction: String,
    /// What stands behind it.
    pub text: String,
    /// COPY: the stage that is copied from; empty: the context.
    #[serde(default)]
    pub from: String,
    /// COPY: what is copied.
    #[serde(default)]
    pub sources: Vec<String>,
}

impl Build {
    /// As it stands in the repository.
    pub fn read() -> Self {
        let mut command = Command::new("python3");
        let output = command.arg(root().join("tools/image-steps")).arg("show").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let build: Self = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(build.stages.len(), 2, "a stage that builds, and what runs");
        assert_eq!(build.stages[0].name, "build");
        build
    }

    /// The instructions of one kind of the last stage.
    pub fn of_runtime(&self, instruction: &str) -> Vec<&str> {
        let steps = self.stages[1].steps.iter();
        steps.filter(|step| step.instruction == instruction).map(|step| step.text.as_str()).collect()
    }

    /// The commands of the stage that builds: dependencies, then all.
    pub fn commands(&self) -> Vec<&str> {
        let steps = self.stages[0].steps.iter();
        steps.filter(|step| step.instruction == "RUN").map(|step| step.text.as_str()).collect()
    }

    /// What is copied from the context before the command of that number.
    pub fn copied_before(&self, command: usize) -> Vec<&str> {
        let mut commands = 0;
        let steps = self.stages[0].steps.iter().take_while(|step| {
            commands += usize::from(step.instruction == "RUN");
            commands <= command
        });
        let copies = steps.filter(|step| step.instruction == "COPY" && step.from.is_empty());
        copies.flat_map(|step| step.sources.iter().map(String::as_str)).collect()
    }

    /// Whether the builder has a file when the last command runs.
    pub fn has(&self, path: &str) -> bool {
        self.context.contains(path) && self.copied_before(1).iter().any(|source| names(source, path))
    }
}

/// Whether the source of a COPY names a file.
pub fn names(source: &str, path: &str) -> bool {
    let source = source.trim_end_matches('/');
    path == source || path.strip_prefix(source).is_some_and(|rest| rest.starts_with('/'))
}
