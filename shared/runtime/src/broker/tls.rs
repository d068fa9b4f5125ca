//! TLS to the broker. The files are judged once, at start, so that a mistake is named there; the client reads them again
//! for each connection, so that renewed ones are taken when the connection is next made.

use std::path::{Path, PathBuf};

use async_nats::ConnectOptions;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{self, ClientConfig, RootCertStore};

use super::error::Cause;
use super::{BrokerConfig, BrokerError};

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
enum TlsFault {
    #[error("`broker.tls_certificate_file` and `broker.tls_key_file` go together: set both or none")]
    HalfAPair,
    #[error("{}: {reason}", path.display())]
    File { key: &'static str, path: PathBuf, reason: Cause },
    #[error("{} has no certificate in it", path.display())]
    Empty { key: &'static str, path: PathBuf },
    #[error("`broker.tls_key_file` is not the key of the certificate in `broker.tls_certificate_file`")]
    OtherKey(#[source] rustls::Error),
}

impl TlsFault {
    fn key(&self) -> &'static str {
        match self {
            Self::File { key, .. } | Self::Empty { key, .. } => key,
            Self::HalfAPair => "broker.tls_certificate_file",
            Self::OtherKey(_) => "broker.tls_key_file",
        }
    }
}

/// The options with TLS as configured. Who names files, or a `tls://` server, never speaks to any server without TLS.
pub(super) fn secured(options: ConnectOptions, config: &BrokerConfig) -> Result<ConnectOptions, BrokerError> {
    let refused = |fault: TlsFault| BrokerError::Unusable { key: fault.key(), cause: fault.into() };
    let [ca, certificate, key] =
        [&config.tls_ca_file, &config.tls_certificate_file, &config.tls_key_file].map(|file| named(file));
    let names_tls = config.url.expose().split(',').any(|url| url.trim().starts_with("tls://"));
    let mut options = options.require_tls(names_tls || ca.is_some() || certificate.is_some());
    let mut trusted = RootCertStore::empty();
    if let Some(path) = ca {
        for authority in certificates("broker.tls_ca_file", path).map_err(refused)? {
            let added = trusted.add(authority);
            added.map_err(|source| refused(fault("broker.tls_ca_file", path, source)))?;
        }
        options = options.add_root_certificates(path.to_owned());
    }
    match (certificate, key) {
        (None, None) => Ok(options),
        (Some(certificate), Some(key)) => {
            judge_pair(certificate, key, trusted).map_err(refused)?;
            Ok(options.add_client_certificate(certificate.to_owned(), key.to_owned()))
        }
        _ => Err(refused(TlsFault::HalfAPair)),
    }
}

fn named(file: &str) -> Option<&Path> {
    (!file.is_empty()).then(|| Path::new(file))
}

fn fault(key: &'static str, path: &Path, source: impl Into<Cause>) -> TlsFault {
    TlsFault::File { key, path: path.to_owned(), reason: source.into() }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsFault> {
    std::fs::read(path).map_err(|source| fault(key, path, source))
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let text = read(key, path)?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|source| fault(key, path, source))?;
    if found.is_empty() { Err(TlsFault::Empty { key, path: path.to_owned() }) } else { Ok(found) }
}

/// Whether the key is the certificate's.
fn judge_pair(certificate: &Path, key: &Path, trusted: RootCertStore) -> Result<(), TlsFault> {
    let chain = certificates("broker.tls_certificate_file", certificate)?;
    let text = read("broker.tls_key_file", key)?;
    let secret =
        PrivateKeyDer::from_pem_slice(&text).map_err(|source| fault("broker.tls_key_file", key, source))?;
    let judged = ClientConfig::builder().with_root_certificates(trusted).with_client_auth_cert(chain, secret);
    judged.map(drop).map_err(TlsFault::OtherKey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    fn complaint(ca: &str, certificate: &str, key: &str) -> Option<String> {
        let files = [("CA", ca), ("CERTIFICATE", certificate), ("KEY", key)];
        let environment =
            files.map(|(name, file)| (format!("TIDELOG__BROKER__TLS_{name}_FILE"), file.to_owned()));
        let sources = Sources { file: None, environment: environment.into() };
        let config: BrokerConfig = Config::load(&sources).unwrap().section("broker").unwrap();
        let error = secured(ConnectOptions::new(), &config).err()?;
        Some(error.to_string())
    }

    #[test]
    fn files_that_cannot_be_used_are_errors_that_name_their_key() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let check = |files: [&str; 3], expect: &str| {
            let [ca, certificate, key] = files;
            let complaint = complaint(ca, certificate, key).unwrap();
            assert!(complaint.contains(expect), "{files:?}: {complaint}");
        };
        assert_eq!(complaint("", "", ""), None);
        check(
            ["/nowhere/ca.pem", "", ""],
            "`broker.tls_ca_file` cannot be used: /nowhere/ca.pem: No such file",
        );
        check([manifest, "", ""], "`broker.tls_ca_file`");
        check(["", "/nowhere/certificate.pem", manifest], "`broker.tls_certificate_file`");
        check(["", manifest, ""], "go together");
        check(["", "", manifest], "go together");
    }
}
