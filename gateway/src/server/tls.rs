//! TLS of the public listener: a certificate and its key from two files, which are followed as their content changes. A pair
//! that cannot be used is not taken, and the one in use stays.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::config::ServerConfig;

/// There is no TLS to start with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the two files is named and the other is not.
    #[error("`server.tls_certificate_file` and `server.tls_key_file` go together: set both or none")]
    HalfAPair,
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not PEM, or has nothing of what it should.
    #[error("{} is no PEM file of what it should hold", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The two cannot be used together, or not here.
    #[error("the certificate and the key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl TlsError {
    /// The key of the configuration that is to blame.
    pub fn key(&self, config: &ServerConfig) -> &'static str {
        match self {
            Self::Unreadable { path, .. } | Self::NotPem { path, .. } if *path == config.tls_key_file => {
                "server.tls_key_file"
            }
            _ => "server.tls_certificate_file",
        }
    }
}

/// The two files, as they were last looked at.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// What was last judged, so that each content is judged, and complained about, once.
    judged: Option<(Vec<u8>, Vec<u8>)>,
    current: Arc<Current>,
}

/// The pair in use.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Reads the pair that `config` names and follows it until `shutdown`; `None` where it names none.
pub(super) fn acceptor(
    config: &ServerConfig,
    shutdown: CancellationToken,
) -> Result<Option<TlsAcceptor>, TlsError> {
    let (certificate, key) = (config.tls_certificate_file.clone(), config.tls_key_file.clone());
    match (certificate.as_os_str().is_empty(), key.as_os_str().is_empty()) {
        (true, true) => return Ok(None),
        (false, false) => {}
        _ => return Err(TlsError::HalfAPair),
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let contents = (read(&certificate)?, read(&key)?);
    let pair = certified(&certificate, &key, &contents, &provider)?;
    let current = Arc::new(Current(ArcSwap::from_pointee(pair)));
    let mut tls = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(current.clone());
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut files = Files { certificate, key, judged: Some(contents), current };
    let mut ticks = interval(config.tls_watch_interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::spawn(async move {
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            files.look(&provider);
        }
    });
    Ok(Some(TlsAcceptor::from(Arc::new(tls))))
}

impl Files {
    /// Compares the contents, not the files' times: a secret of Kubernetes is swapped by a symbolic link. They are small and
    /// local, so they are read in place.
    fn look(&mut self, provider: &CryptoProvider) {
        let contents = read(&self.certificate).and_then(|certificate| Ok((certificate, read(&self.key)?)));
        let contents = match contents {
            Ok(contents) => contents,
            Err(error) => {
                if self.judged.take().is_some() {
                    complain(&error);
                }
                return;
            }
        };
        if self.judged.as_ref() == Some(&contents) {
            return;
        }
        match certified(&self.certificate, &self.key, &contents, provider) {
            Ok(pair) => {
                self.current.0.store(Arc::new(pair));
                tracing::info!(path = %self.certificate.display(), "TLS certificate in use");
            }
            Err(error) => complain(&error),
        }
        self.judged = Some(contents);
    }
}

fn complain(error: &TlsError) {
    let error: &dyn std::error::Error = error;
    tracing::error!(error, "the new TLS certificate is not taken; the one in use stays");
}

fn read(path: &PathBuf) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.clone(), source })
}

fn certified(
    certificate_file: &PathBuf,
    key_file: &PathBuf,
    (certificate, key): &(Vec<u8>, Vec<u8>),
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let not_pem = |path: &PathBuf, source| TlsError::NotPem { path: path.clone(), source };
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|source| not_pem(certificate_file, source))?;
    if chain.is_empty() {
        return Err(not_pem(certificate_file, pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| not_pem(key_file, source))?;
    // A certificate and a key that do not belong together are an error here.
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

#[cfg(test)]
mod tests {
    use tidelog_runtime::config::{Config, Sources};

    use super::*;

    fn start(certificate: &str, key: &str) -> Result<Option<TlsAcceptor>, TlsError> {
        let files = [("CERTIFICATE", certificate), ("KEY", key)];
        let environment =
            files.map(|(name, file)| (format!("TIDELOG__SERVER__TLS_{name}_FILE"), file.to_owned()));
        let sources = Sources { file: None, environment: environment.into() };
        let config: ServerConfig = Config::load(&sources).unwrap().section("server").unwrap();
        acceptor(&config, CancellationToken::new())
    }

    #[tokio::test]
    async fn a_pair_is_whole_and_readable_or_there_is_no_start() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(start("", "").unwrap().is_none());
        assert!(matches!(start(manifest, ""), Err(TlsError::HalfAPair)));
        assert!(matches!(start("", manifest), Err(TlsError::HalfAPair)));
        assert!(matches!(start("/nowhere/certificate.pem", manifest), Err(TlsError::Unreadable { .. })));
        assert!(matches!(start(manifest, manifest), Err(TlsError::NotPem { .. })));
    }
}
