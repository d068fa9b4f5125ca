//! Objects: written, read back and compared before anybody relies on them, and never believed without their hash.

use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
use tidelog_events::frame::ArchiveHeader;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::ArchiveConfig;
use crate::name::object_name;
use crate::place::Place;

/// Bytes that are hashed before others have their turn: under a millisecond.
const HASHED_AT_ONCE_BYTES: usize = 256 * 1024;

/// The archive that a process uses.
#[derive(Debug, Clone)]
pub struct Archive {
    place: Place,
    /// Beyond the tries of one request: a folder may hang, too.
    answers_within: Duration,
}

/// An object that was written and read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its name.
    pub object: String,
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// How many these are.
    pub bytes: u64,
}

/// Why the archive did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be used as it is configured: somebody must change `[archive]`.
    #[error("`archive.url` cannot be used: {0}")]
    Config(String),
    /// It did not answer, or refused: try again later.
    #[error("the archive does not take or give {object}")]
    Away {
        /// The object.
        object: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such object: somebody deleted it, or this is another archive than it was written to.
    #[error("the archive has no {object}")]
    Missing {
        /// The object.
        object: String,
    },
    /// The object holds other bytes than were written: somebody must look after it.
    #[error("the archived {object} holds other bytes than were written")]
    Damaged {
        /// The object.
        object: String,
    },
}

impl Archive {
    /// The archive that the configuration names. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`ArchiveError::Config`] alone.
    pub fn open(config: &ArchiveConfig) -> Result<Self, ArchiveError> {
        let answers_within = config.request_timeout() + config.retry_for();
        Ok(Self { place: Place::of(config)?, answers_within })
    }

    /// Writes an object ([`write_archive`](tidelog_events::frame::write_archive)), reads it back and compares. Doing so
    /// again with the same bytes changes nothing; other bytes are another object.
    pub async fn store(&self, header: &ArchiveHeader, object: Bytes) -> Result<StoredObject, ArchiveError> {
        let (sha256, bytes) = (digest(&object).await, object.len() as u64);
        let name = object_name(header, &sha256);
        let location = self.location(&name)?;
        self.answered(&name, self.place.store.put(&location, object.into())).await?;
        self.fetch(&name, &sha256).await?;
        Ok(StoredObject { object: name, sha256, bytes })
    }

    /// The bytes of an object, refused unless they have that SHA-256.
    pub async fn fetch(&self, object: &str, sha256: &[u8]) -> Result<Bytes, ArchiveError> {
        let location = self.location(object)?;
        let read = async { self.place.store.get(&location).await?.bytes().await };
        let bytes = self.answered(object, read).await?;
        if digest(&bytes).await == sha256 {
            Ok(bytes)
        } else {
            Err(ArchiveError::Damaged { object: object.to_owned() })
        }
    }

    fn location(&self, object: &str) -> Result<Path, ArchiveError> {
        let prefix = &self.place.prefix;
        let location = Path::parse(format!("{prefix}/{object}"));
        location.map_err(|_| ArchiveError::Missing { object: object.to_owned() })
    }

    async fn answered<T>(
        &self,
        object: &str,
        asked: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, ArchiveError> {
        let away = |source| ArchiveError::Away { object: object.to_owned(), source };
        match timeout(self.answers_within, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Error::NotFound { .. })) => Err(ArchiveError::Missing { object: object.to_owned() }),
            Ok(Err(error)) => Err(away(error.into())),
            Err(elapsed) => Err(away(elapsed.into())),
        }
    }
}

async fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut hash = hmac_sha256::Hash::new();
    for chunk in bytes.chunks(HASHED_AT_ONCE_BYTES) {
        hash.update(chunk);
        yield_now().await;
    }
    hash.finalize()
}
