//! `.tidelog/up.json`: where the running stack is and how to get in. `tidelog up` writes it; every other command,
//! and anyone's script, reads it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tidelog_runtime::config::Sources;

/// The folder in which `tidelog up` keeps its data, and its file.
pub const FOLDER: &str = ".tidelog";
const FILE: &str = "up.json";

const DATABASE_VARIABLE: &str = "TIDELOG__DATABASE__URL";
const SCHEMA_VARIABLE: &str = "TIDELOG__SCHEMA__FILE";
const ARCHIVE_VARIABLE: &str = "TIDELOG__ARCHIVE__URL";

/// A running stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StackFile {
    /// The public API.
    pub gateway_url: String,
    /// The admin API.
    pub admin_url: String,
    /// `/healthz`, `/readyz` and `/metrics` of each service, by role.
    pub operations_urls: BTreeMap<String, String>,
    /// NATS.
    pub nats_url: String,
    /// PostgreSQL, over TCP.
    pub database_url: String,
    /// Where pruned events go: a folder, or a bucket of S3. Empty in the file of an older version.
    #[serde(default)]
    pub archive_url: String,
    /// The app's schema.
    pub schema_file: String,
    /// The secret of HS256 tokens.
    pub jwt_secret: String,
    /// A token of the demo user.
    pub token: String,
    /// A token with the scope `admin`.
    pub admin_token: String,
    /// Process ids by role; a server that was not started by `tidelog up` has none.
    pub pids: BTreeMap<String, u32>,
}

impl StackFile {
    /// Reads the file of the stack in this folder or the nearest one above it.
    pub fn find() -> Result<Self> {
        let here = std::env::current_dir().context("the current folder is gone")?;
        let found = here.ancestors().map(|folder| path(&folder.join(FOLDER))).find(|file| file.exists());
        match found {
            Some(file) => Self::read(&file),
            None => bail!("no stack is running here: start one with `make up`, then try again in its folder"),
        }
    }

    /// Reads it.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged: start the stack again with `make up`", file.display()))
    }

    /// Replaces the file in one step, so that a reader never sees half of it. It holds secrets: only its owner may
    /// read it.
    pub fn write(&self, file: &Path) -> Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let mut unfinished = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut unfinished, self)?;
        unfinished.write_all(b"\n")?;
        unfinished.persist(file).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(())
    }
}

/// The configuration of this process; the servers that it does not name are those of the stack that runs here.
pub(crate) fn configured_or_running() -> Result<Sources> {
    let mut sources = Sources::from_process();
    if sources.file.is_none() && !sources.environment.contains_key(DATABASE_VARIABLE) {
        let stack = StackFile::find()
            .with_context(|| format!("there is no database to work on; name one in {DATABASE_VARIABLE}"))?;
        sources.environment.insert(DATABASE_VARIABLE.to_owned(), stack.database_url);
        for (variable, value) in [(SCHEMA_VARIABLE, stack.schema_file), (ARCHIVE_VARIABLE, stack.archive_url)]
        {
            sources.environment.entry(variable.to_owned()).or_insert(value);
        }
    }
    Ok(sources)
}

/// The file within a folder `.tidelog`.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_named_in_camel_case() {
        let folder = tempfile::tempdir().unwrap();
        let stack = StackFile {
            gateway_url: "http://127.0.0.1:1".into(),
            admin_url: "http://127.0.0.1:1".into(),
            operations_urls: [("ingest".to_owned(), "http://127.0.0.1:2".to_owned())].into(),
            nats_url: "nats://127.0.0.1:3".into(),
            database_url: "postgresql://tidelog@127.0.0.1:4/tidelog".into(),
            archive_url: "/app/.tidelog/archive".into(),
            schema_file: "/app/schema.yaml".into(),
            jwt_secret: "secret".into(),
            token: "a.b.c".into(),
            admin_token: "d.e.f".into(),
            pids: [("nats".to_owned(), 7)].into(),
        };
        let file = path(folder.path());
        stack.write(&file).unwrap();
        assert_eq!(StackFile::read(&file).unwrap(), stack);
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        for key in [
            "gatewayUrl",
            "operationsUrls",
            "natsUrl",
            "databaseUrl",
            "archiveUrl",
            "schemaFile",
            "jwtSecret",
            "adminToken",
            "pids",
        ] {
            assert!(keys.contains(&key), "{key} is missing");
        }
    }
}
