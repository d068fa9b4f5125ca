//! What stays the same from run to run: ports, as long as they are free, and the secret of the tokens.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::local::{free_port, is_free};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    pub(super) jwt_secret: String,
    ports: BTreeMap<String, u16>,
    #[serde(skip)]
    file: PathBuf,
}

impl Kept {
    /// Reads what the last run kept in `folder`; a missing or damaged file begins anew.
    pub(super) fn read(folder: &Path) -> Self {
        let file = folder.join("kept.json");
        let text = fs::read(&file).unwrap_or_default();
        match serde_json::from_slice::<Self>(&text) {
            Ok(kept) => Self { file, ..kept },
            Err(_) => Self { jwt_secret: new_secret(), ports: BTreeMap::new(), file },
        }
    }

    /// The port of `role`: the same as last time, unless somebody else has it now.
    pub(super) fn port(&mut self, role: &str) -> Result<u16> {
        if let Some(&port) = self.ports.get(role)
            && is_free(port)
        {
            return Ok(port);
        }
        let port = free_port()?;
        self.ports.insert(role.to_owned(), port);
        Ok(port)
    }

    /// Keeps it for the next run. It holds the secret: only its owner may read it.
    pub(super) fn write(&self) -> Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let mut unfinished = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut unfinished, self)?;
        unfinished.flush()?;
        unfinished.persist(&self.file).with_context(|| format!("cannot write {}", self.file.display()))?;
        Ok(())
    }
}

/// 244 bits from the operating system.
fn new_secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_and_free_ports_stay_from_run_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Kept::read(folder.path());
        let port = first.port("gateway").unwrap();
        first.write().unwrap();
        let mut second = Kept::read(folder.path());
        assert_eq!(second.jwt_secret, first.jwt_secret);
        assert!(second.jwt_secret.len() >= 32);
        let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert_ne!(second.port("gateway").unwrap(), port);
        drop(taken);
        assert_eq!(Kept::read(folder.path()).port("gateway").unwrap(), port);
    }
}
