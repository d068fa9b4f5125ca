//! The line between a phone and the gateway: it counts what passes, and a test meddles with it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidelog_client::transport::{Answer, LiveStream, NotLive, PullRequest, Refused, Request, Unreachable};
use tidelog_client::{HttpTransport, Transport};
use tidelog_events::code::Refusal;

/// What a line does with a request before it is sent.
pub enum Meddling {
    Pass,
    /// The server is said to have answered this.
    Answer(Answer),
    /// The request gets lost.
    LoseRequest,
    /// It is sent, and the answer gets lost.
    LoseAnswer,
    /// It is never answered.
    Hang,
}

type Meddler = Box<dyn FnMut(&Request) -> Meddling + Send>;

/// A transport that counts, and that a test meddles with.
#[derive(Clone)]
pub struct Line {
    http: HttpTransport,
    meddler: Arc<Mutex<Meddler>>,
    sent: Arc<AtomicU64>,
    under_way: Arc<AtomicI64>,
    /// The way of live connections, where there are any, and how many were begun.
    live: Option<HttpTransport>,
    connects: Arc<AtomicU64>,
}

impl Line {
    pub fn to(address: impl std::fmt::Display) -> Self {
        Self {
            http: HttpTransport::new(&format!("http://{address}")).unwrap(),
            meddler: Arc::new(Mutex::new(Box::new(|_| Meddling::Pass))),
            sent: Arc::default(),
            under_way: Arc::default(),
            live: None,
            connects: Arc::default(),
        }
    }

    /// With a shorter timeout.
    pub fn patient_for(mut self, timeout: Duration) -> Self {
        self.http = self.http.request_timeout(timeout);
        self
    }

    /// With live connections, by an address of their own.
    pub fn live_by(mut self, address: impl std::fmt::Display) -> Self {
        self.live = Some(HttpTransport::new(&format!("http://{address}")).unwrap());
        self
    }

    /// Attempts to make a live connection, so far.
    pub fn connects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed)
    }

    pub fn meddle(&self, meddler: impl FnMut(&Request) -> Meddling + Send + 'static) {
        *self.meddler.lock().unwrap() = Box::new(meddler);
    }

    /// The next push is answered so.
    pub fn answer_next_push(&self, answer: Answer) {
        let mut answer = Some(answer);
        self.meddle(move |request| match request {
            Request::Push(_) => answer.take().map_or(Meddling::Pass, Meddling::Answer),
            _ => Meddling::Pass,
        });
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Requests that nobody has had an answer to, and that were not given up.
    pub fn under_way(&self) -> i64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Whether nobody has it any more but the test.
    pub fn is_forgotten(&self) -> bool {
        Arc::strong_count(&self.sent) == 1
    }
}

/// Counts a request for as long as somebody waits for it.
struct UnderWay(Arc<AtomicI64>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Transport for Line {
    async fn send(&self, request: &Request, token: &str) -> Result<Answer, Unreachable> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let _under_way = UnderWay(self.under_way.clone());
        let meddling = (self.meddler.lock().unwrap())(request);
        match meddling {
            Meddling::Pass => self.http.send(request, token).await,
            Meddling::Answer(answer) => Ok(answer),
            Meddling::LoseRequest => Err(Unreachable::broken("lost")),
            Meddling::LoseAnswer => {
                self.http.send(request, token).await?;
                Err(Unreachable::broken("lost"))
            }
            Meddling::Hang => std::future::pending().await,
        }
    }

    async fn live(&self, request: &PullRequest, token: &str) -> Result<impl LiveStream, NotLive> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        match &self.live {
            Some(http) => http.connect(request, token).await,
            None => Err(NotLive::Unavailable("this line carries none".to_owned())),
        }
    }
}

pub fn refused(code: Refusal) -> Refused {
    let detail = "as the test says".to_owned();
    Refused {
        status: code.status(),
        code: Some(code),
        detail,
        expected: None,
        server_time: None,
        retry_after: None,
    }
}
