//! An issuer's server of keys, which can be made to answer as badly as any.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// How it answers.
#[derive(Debug, Clone)]
pub enum Manner {
    /// With that body.
    Body(String),
    /// With that status, and a header.
    Status(u16, String),
    /// With a body that never ends.
    Endless,
    /// With the beginning of an answer, and no more.
    Silent,
    /// Not at all: it closes the connection.
    Down,
}

/// The server. Dropping it stops it.
pub struct Issuer {
    /// Where the keys are.
    pub url: String,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Issuer {
    /// One that answers in that manner.
    pub async fn new(manner: Manner) -> Self {
        Self::start(manner, None).await
    }

    /// The same over TLS, with a certificate of its own making.
    pub async fn with_tls(manner: Manner) -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        Self::start(manner, Some(tls(own.cert.der().clone(), key))).await
    }

    async fn start(manner: Manner, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/.well-known/jwks.json", listener.local_addr().unwrap());
        let manner = Arc::new(Mutex::new(manner));
        let asked = Arc::new(AtomicUsize::new(0));
        let (answered, count) = (manner.clone(), asked.clone());
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let manner = answered.lock().unwrap().clone();
                match tls.clone() {
                    None => drop(tokio::spawn(answer(connection, manner))),
                    Some(tls) => drop(tokio::spawn(async move {
                        if let Ok(connection) = tls.accept(connection).await {
                            answer(connection, manner).await;
                        }
                    })),
                }
            }
        });
        Self { url, manner, asked, task }
    }

    /// From now on it answers so.
    pub fn answers(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    /// How often it was asked so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn tls(certificate: CertificateDer<'static>, key: PrivatePkcs8KeyDer<'static>) -> TlsAcceptor {
    let config = ServerConfig::builder().with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key.into()).unwrap()))
}

/// Answers one request. Who asks may go away at any time.
async fn answer(mut connection: impl AsyncRead + AsyncWrite + Unpin, manner: Manner) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if matches!(manner, Manner::Down) || connection.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head =
        |status: u16, header: &str| format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{header}\r\n\r\n");
    let begin = match &manner {
        Manner::Body(body) => head(200, &format!("content-length: {}", body.len())) + body,
        Manner::Status(status, header) => head(*status, &format!("content-length: 0\r\n{header}")),
        Manner::Endless | Manner::Silent => head(200, "content-type: application/json") + "{\"keys\": [",
        Manner::Down => return,
    };
    let mut going_on = connection.write_all(begin.as_bytes()).await.is_ok();
    while going_on && matches!(manner, Manner::Endless) {
        going_on = connection.write_all(&[b' '; 4096]).await.is_ok();
    }
    if matches!(manner, Manner::Silent) {
        // Until who asks has had enough.
        let _ = connection.read(&mut [0]).await;
    }
}
