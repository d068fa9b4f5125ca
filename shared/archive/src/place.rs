//! From the configuration to the folder or the bucket. Nothing is asked of it yet: a server that is away is noticed when
//! it is used.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::{ArchiveConfig, ArchiveError};

/// Between two tries of a request lie at most this, and the time bounds their number.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
const RETRIES_MAX: usize = 1000;

/// Where objects lie, and what stands before their names there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) prefix: Path,
}

impl Place {
    pub(crate) fn of(config: &ArchiveConfig) -> Result<Self, ArchiveError> {
        let place = match config.url.split_once("://") {
            Some(("s3", rest)) => s3(config, rest),
            Some(("file", path)) => Path::from_url_path(path).map_err(Into::into).map(Self::folder),
            None if !config.url.is_empty() => absolute(&config.url).map(Self::folder),
            _ => Err("it must be a folder, file:///folder, or s3://bucket/prefix".into()),
        };
        place.map_err(|why| ArchiveError::Config(why.to_string()))
    }

    /// Rooted at `/`: the folder itself is made with its first object.
    fn folder(prefix: Path) -> Self {
        Self { store: Arc::new(LocalFileSystem::new().with_fsync(true)), prefix }
    }
}

type Reason = Box<dyn Error + Send + Sync>;

fn absolute(folder: &str) -> Result<Path, Reason> {
    Ok(Path::from_absolute_path(std::path::absolute(folder)?)?)
}

fn s3(config: &ArchiveConfig, bucket_and_prefix: &str) -> Result<Place, Reason> {
    let (bucket, prefix) = bucket_and_prefix.split_once('/').unwrap_or((bucket_and_prefix, ""));
    if bucket.is_empty() {
        return Err("it names no bucket".into());
    }
    if config.s3_endpoint.starts_with("http://") && !config.s3_allow_http {
        return Err("s3_endpoint begins with http://, which s3_allow_http does not allow".into());
    }
    Ok(Place { prefix: Path::parse(prefix)?, store: Arc::new(bucket_of(config, bucket)?) })
}

fn bucket_of(config: &ArchiveConfig, bucket: &str) -> Result<AmazonS3, Reason> {
    // Without a key the surroundings give one: what Kubernetes puts into the environment for a role, or AWS's metadata.
    let key = (config.s3_access_key_id.as_str(), config.s3_secret_access_key.expose());
    let builder = match key {
        ("", "") => AmazonS3Builder::from_env(),
        ("", _) | (_, "") => return Err("the key is only half there".into()),
        (id, key) => AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(key),
    };
    let client =
        ClientOptions::new().with_timeout(config.request_timeout()).with_allow_http(config.s3_allow_http);
    let backoff = BackoffConfig { max_backoff: BACKOFF_MAX, ..BackoffConfig::default() };
    let retry = RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: config.retry_for() };
    let mut builder = builder
        .with_bucket_name(bucket)
        .with_virtual_hosted_style_request(!config.s3_path_style)
        .with_client_options(client)
        .with_retry(retry);
    if !config.s3_region.is_empty() {
        builder = builder.with_region(&config.s3_region);
    }
    if !config.s3_endpoint.is_empty() {
        builder = builder.with_endpoint(endpoint(config, bucket));
    }
    Ok(builder.build()?)
}

/// The library wants the bucket in the endpoint's host where it shall be in the host.
fn endpoint(config: &ArchiveConfig, bucket: &str) -> String {
    match config.s3_endpoint.split_once("://") {
        Some((scheme, host)) if !config.s3_path_style => format!("{scheme}://{bucket}.{host}"),
        _ => config.s3_endpoint.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> ArchiveConfig {
        ArchiveConfig {
            url: url.to_owned(),
            s3_endpoint: "https://s3.example:9000".to_owned(),
            s3_region: String::new(),
            s3_access_key_id: "id".to_owned(),
            s3_secret_access_key: "key".into(),
            s3_allow_http: false,
            s3_path_style: true,
            request_timeout_ms: 1000,
            retry_for_ms: 0,
        }
    }

    #[test]
    fn a_folder_is_named_by_a_path_or_a_url() {
        let check = |url: &str, expect: &str| {
            assert_eq!(Place::of(&config(url)).unwrap().prefix.as_ref(), expect, "{url}");
        };
        check("/var/lib/tidelog/archive", "var/lib/tidelog/archive");
        check("/var/a b/50%/é/", "var/a b/50%/é");
        check("file:///var/lib/tidelog/", "var/lib/tidelog");
        check("file:///var/a%20b", "var/a b");
        let here = std::env::current_dir().unwrap().join(".tidelog/archive");
        check(".tidelog/archive", here.to_str().unwrap().trim_start_matches('/'));
    }

    #[test]
    fn a_bucket_may_have_a_prefix() {
        let prefix = |url: &str| Place::of(&config(url)).unwrap().prefix.to_string();
        assert_eq!(prefix("s3://tidelog"), "");
        assert_eq!(prefix("s3://tidelog/"), "");
        assert_eq!(prefix("s3://tidelog/production/one"), "production/one");
    }

    #[test]
    fn the_bucket_stands_where_the_server_looks_for_it() {
        let in_path = config("s3://tidelog");
        assert_eq!(endpoint(&in_path, "tidelog"), "https://s3.example:9000");
        let in_host = ArchiveConfig { s3_path_style: false, ..in_path };
        assert_eq!(endpoint(&in_host, "tidelog"), "https://tidelog.s3.example:9000");
    }

    #[test]
    fn what_names_no_place_is_refused_with_its_key() {
        let without_tls = ArchiveConfig { s3_endpoint: "http://s3".to_owned(), ..config("s3://tidelog") };
        let without_key = ArchiveConfig { s3_secret_access_key: "".into(), ..config("s3://tidelog") };
        for config in [
            config(""),
            config("s3://"),
            config("s3:///x"),
            config("s3://tidelog/a//b"),
            config("file:///a/../b"),
            config("http://s3.example"),
            without_key,
            without_tls,
        ] {
            let error = Place::of(&config).unwrap_err().to_string();
            assert!(error.contains("archive.url"), "{error}");
        }
    }
}
