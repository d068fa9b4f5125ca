//! A folder or a bucket, with a way around the archive by which its objects are damaged.

use std::sync::Arc;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;
use tidelog_archive::{Archive, ArchiveConfig};
use tidelog_events::frame::ArchiveHeader;
use tidelog_events::id::{Epoch, Position, SpaceId};
use tidelog_tests::S3Server;
use uuid::Uuid;

pub struct Place {
    pub archive: Archive,
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Place {
    pub fn in_folder(folder: &TempDir) -> Self {
        let config = folder_config(&folder.path().join("not there yet").display().to_string());
        Self {
            archive: Archive::open(&config).unwrap(),
            objects: Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()),
            prefix: Path::from("not there yet"),
        }
    }

    pub fn in_bucket(server: &S3Server, bucket: &str) -> Self {
        let config = server.bucket(bucket);
        let objects = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_endpoint(&config.s3_endpoint)
            .with_allow_http(true)
            .with_access_key_id(&config.s3_access_key_id)
            .with_secret_access_key(config.s3_secret_access_key.expose())
            .build();
        Self {
            archive: Archive::open(&config).unwrap(),
            objects: Arc::new(objects.unwrap()),
            prefix: Path::from("some/prefix"),
        }
    }

    /// Replaces an object's bytes.
    pub async fn overwrite(&self, object: &str, bytes: impl Into<Bytes>) {
        let payload: Bytes = bytes.into();
        self.objects.put(&self.at(object), payload.into()).await.unwrap();
    }

    pub async fn delete(&self, object: &str) {
        self.objects.delete(&self.at(object)).await.unwrap();
    }

    fn at(&self, object: &str) -> Path {
        Path::parse(format!("{}/{object}", self.prefix)).unwrap()
    }
}

pub fn folder_config(url: &str) -> ArchiveConfig {
    ArchiveConfig {
        url: url.to_owned(),
        s3_endpoint: String::new(),
        s3_region: String::new(),
        s3_access_key_id: String::new(),
        s3_secret_access_key: "".into(),
        s3_allow_http: false,
        s3_path_style: true,
        request_timeout_ms: 20_000,
        retry_for_ms: 0,
    }
}

/// The header of an object of that space; the archive looks at nothing else of an object but its bytes.
pub fn header(space: &str) -> ArchiveHeader {
    ArchiveHeader {
        space: SpaceId::new(space).unwrap(),
        epoch: Epoch(Uuid::nil()),
        first: Position(1),
        last: Position(500),
        segments: 12,
    }
}
