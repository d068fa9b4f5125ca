//! Who this installation is: a device id in a file of its own, apart from the store, so that a store that comes back
//! from a backup on another phone finds that it is another device.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidelog_events::id::DeviceId;

/// The device id of this installation.
///
/// Its file must lie where no backup and no move to a new phone brings it along: on Android in `noBackupFilesDir`; on
/// iOS in a file with `isExcludedFromBackup`, or in the keychain with `…ThisDeviceOnly`. Where it comes along all the
/// same, nothing is lost: the server notices the fork, and the device takes a new id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    device_id: DeviceId,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("the device's identity file {} cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is there, but holds no identity.
    #[error(
        "the device's identity file {} is damaged; remove it, and the device takes a new id at the next start (it \
         then sends what it has recorded as a new device; nothing is lost)",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The file's content: one object and a line feed, so that half of it is not taken for the whole.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Content {
    device_id: DeviceId,
}

impl Identity {
    /// The identity in that file, or a new one, written durably, where there is no file. One process at a time may
    /// make it.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        let failed = |source| IdentityError::Io { path: path.to_owned(), source };
        match fs::read(path) {
            Ok(content) => {
                Self::read(&content).ok_or_else(|| IdentityError::Damaged { path: path.to_owned() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path).map_err(failed),
            Err(error) => Err(failed(error)),
        }
    }

    /// The id.
    pub fn device_id(&self) -> &DeviceId {
        &self.device_id
    }

    fn read(content: &[u8]) -> Option<Self> {
        let Content { device_id } = serde_json::from_slice(content.strip_suffix(b"\n")?).ok()?;
        device_id.refuse_reserved().ok().map(|device_id| Self { device_id })
    }

    fn create(path: &Path) -> io::Result<Self> {
        let device_id = DeviceId::new(uuid::Uuid::new_v4().to_string()).map_err(io::Error::other)?;
        let mut content = serde_json::to_vec(&Content { device_id: device_id.clone() })?;
        content.push(b'\n');
        write_durably(path, &content)?;
        Ok(Self { device_id })
    }
}

/// All of it or nothing, also where the power fails: the events that carry this id are durable too.
fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_folder(folder)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file, and a rename is durable by itself.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no-backup/identity.json");
        let made = Identity::load_or_create(&path).unwrap();
        assert_eq!(Identity::load_or_create(&path).unwrap(), made);
        let other = Identity::load_or_create(&folder.path().join("identity.json")).unwrap();
        assert_ne!(other, made);
        let left: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(left, [path]);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_what_to_do_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.json");
        Identity::load_or_create(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        let reserved = br#"{"deviceId":"event:018f4f7e-0000-7000-8000-000000000001"}"#;
        for damaged in [&whole[..0], &whole[..20], &whole[..whole.len() - 1], b"{}\n", reserved] {
            fs::write(&path, damaged).unwrap();
            let error = Identity::load_or_create(&path).unwrap_err();
            assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("remove it"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let error = Identity::load_or_create(&in_the_way.join("identity.json")).unwrap_err();
        assert!(
            matches!(error, IdentityError::Io { .. }) && error.to_string().contains("identity.json"),
            "{error}"
        );
    }
}
