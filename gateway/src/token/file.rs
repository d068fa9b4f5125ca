//! The file of keys: read at start, then followed as its content changes. A content that cannot be used is refused and the
//! keys in use stay.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::document::{self, DocumentError};
use super::key::{Key, Origin};
use super::{LOOK_INTERVAL, VerifierError};

const NAME: &str = "jwks_file";

/// The file and the keys of it that are in use.
pub(super) struct KeyFile {
    path: PathBuf,
    bytes_max: u64,
    keys: ArcSwap<Vec<Key>>,
    /// The content that was last judged, so that each is judged, and complained about, once. Only who follows the file
    /// takes it.
    judged: Mutex<Judged>,
}

struct Judged {
    text: Vec<u8>,
    unreadable: bool,
}

/// Why the file's keys are not taken.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("the file has more than {0} bytes (auth.jwks_bytes)")]
    TooLarge(u64),
    #[error("{0}")]
    Document(#[from] DocumentError),
}

impl KeyFile {
    pub(super) fn open(path: PathBuf, bytes_max: u64) -> Result<Self, VerifierError> {
        let place = path.display().to_string();
        let unusable = |error: FileError| VerifierError::new(NAME, format!("{place}: {error}"));
        let text = read(&path, bytes_max).map_err(unusable)?;
        let keys = document::read(&text, Origin::File, &place).map_err(|error| unusable(error.into()))?;
        count(&keys);
        let judged = Mutex::new(Judged { text, unreadable: false });
        Ok(Self { path, bytes_max, keys: ArcSwap::from_pointee(keys), judged })
    }

    pub(super) fn keys(&self) -> Guard<Arc<Vec<Key>>> {
        self.keys.load()
    }

    pub(super) async fn follow(&self, stopped: &CancellationToken) {
        let mut judged = self.judged.lock().await;
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
            let (path, bytes_max) = (self.path.clone(), self.bytes_max);
            if let Ok(text) = tokio::task::spawn_blocking(move || read(&path, bytes_max)).await {
                self.look(&mut judged, text);
            }
        }
    }

    /// Compares the content, not the file's time: a Secret of Kubernetes is swapped by a symbolic link.
    fn look(&self, judged: &mut Judged, text: Result<Vec<u8>, FileError>) {
        let place = self.path.display().to_string();
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                if !std::mem::replace(&mut judged.unreadable, true) {
                    read_with("unavailable");
                    tracing::error!(place, %error, "the keys for tokens cannot be read; those in use stay");
                }
                return;
            }
        };
        judged.unreadable = false;
        if text == judged.text {
            return;
        }
        match document::read(&text, Origin::File, &place) {
            Ok(keys) => {
                read_with("taken");
                count(&keys);
                self.keys.store(Arc::new(keys));
            }
            Err(error) => {
                read_with("refused");
                tracing::error!(place, %error, "the new keys for tokens are not taken; those in use stay");
            }
        }
        judged.text = text;
    }
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let mut text = Vec::new();
    File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() as u64 > bytes_max { Err(FileError::TooLarge(bytes_max)) } else { Ok(text) }
}

fn count(keys: &[Key]) {
    metrics::gauge!("tidelog_gateway_keys", "source" => "file").set(keys.len() as f64);
}

fn read_with(outcome: &'static str) {
    metrics::counter!("tidelog_gateway_key_reads_total", "source" => "file", "outcome" => outcome)
        .increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8037, appendix A.2, by another name.
    fn jwks(kid: &str) -> String {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        format!(r#"{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "kid": "{kid}", "x": "{x}"}}]}}"#)
    }

    fn in_use(file: &KeyFile) -> Vec<String> {
        file.keys().iter().filter_map(|key| key.kid.clone()).collect()
    }

    #[tokio::test]
    async fn a_content_that_cannot_be_used_leaves_the_keys_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        std::fs::write(&path, jwks("one")).unwrap();
        let file = KeyFile::open(path.clone(), 200).unwrap();
        let look = async || file.look(&mut *file.judged.lock().await, read(&path, 200));
        assert_eq!(in_use(&file), ["one"]);
        let too_large = jwks("two") + &" ".repeat(200);
        for broken in ["", "{", "{}", r#"{"keys": [{"kty": "RSA"}]}"#, &too_large] {
            std::fs::write(&path, broken).unwrap();
            look().await;
            assert_eq!(in_use(&file), ["one"], "{broken}");
        }
        std::fs::remove_file(&path).unwrap();
        look().await;
        assert_eq!(in_use(&file), ["one"]);
        std::fs::write(&path, jwks("two")).unwrap();
        look().await;
        assert_eq!(in_use(&file), ["two"]);
        std::fs::write(&path, r#"{"keys": []}"#).unwrap();
        look().await;
        assert!(in_use(&file).is_empty());
    }

    #[test]
    fn a_service_does_not_start_with_a_file_that_cannot_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        let why = |bytes_max| KeyFile::open(path.clone(), bytes_max).err().unwrap().to_string();
        assert!(why(200).starts_with("`auth.jwks_file` cannot be used"), "{}", why(200));
        std::fs::write(&path, "{").unwrap();
        assert!(why(200).contains("no JWK Set"), "{}", why(200));
        std::fs::write(&path, jwks("one")).unwrap();
        assert!(why(10).contains("more than 10 bytes"), "{}", why(10));
        assert!(KeyFile::open(path, 200).is_ok());
    }
}
