//! What a connection is doing, and since when: so that one that only costs is closed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::config::ServerConfig;

/// Whoever connects asks something in so long, or had no need to hurry.
const FIRST_BYTES: Duration = Duration::from_millis(500);

/// How long it may do so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    head: Duration,
    idle: Duration,
    send: Duration,
}

impl Patience {
    pub(super) fn new(config: &ServerConfig) -> Self {
        Self { head: config.header_timeout(), idle: config.idle_timeout(), send: config.send_timeout() }
    }

    /// How long after its beginning a connection is looked at, and later at most.
    pub(super) fn look(&self) -> Duration {
        self.head.min(self.send).min(self.idle)
    }
}

/// What a connection is doing. Milliseconds count from its beginning.
pub(super) struct Activity {
    began: Instant,
    /// Requests whose answers are not yet handed over.
    requests: AtomicU32,
    /// Answers that are being sent, by a number, and when a part of each was last taken. Each is judged by itself: one that goes
    /// on must not keep others that stall.
    answers: Mutex<Answers>,
    had_a_request: AtomicBool,
    is_http2: AtomicBool,
    /// When the first byte behind the last request came; 0 when none has.
    head_ms: AtomicU64,
    /// When a request or an answer last went on.
    moved_ms: AtomicU64,
}

#[derive(Default)]
struct Answers {
    last: u64,
    moved_ms: BTreeMap<u64, u64>,
}

/// What is to become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays; look again then.
    Stays(Instant),
    /// It has been without a request for long.
    Idle,
    /// It is too slow to tell what it wants, or to take what it asked for.
    Slow(&'static str),
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            requests: AtomicU32::new(0),
            answers: Mutex::default(),
            had_a_request: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            head_ms: AtomicU64::new(0),
            moved_ms: AtomicU64::new(0),
        }
    }

    fn now_ms(&self) -> u64 {
        // 0 stands for never.
        self.began.elapsed().as_millis() as u64 + 1
    }

    /// Bytes have arrived.
    pub(super) fn arrived(&self) {
        if self.head_ms.load(Relaxed) == 0 && self.requests.load(Relaxed) == 0 {
            self.head_ms.store(self.now_ms(), Relaxed);
        }
    }

    /// A request has begun: its head is there.
    pub(super) fn begin(self: &Arc<Self>, is_http2: bool) -> Request {
        self.requests.fetch_add(1, Relaxed);
        self.had_a_request.store(true, Relaxed);
        self.is_http2.store(is_http2, Relaxed);
        self.head_ms.store(0, Relaxed);
        Request { activity: self.clone(), answer: None }
    }

    fn moved(&self) -> u64 {
        let now = self.now_ms();
        self.moved_ms.store(now, Relaxed);
        now
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to become of it.
    pub(super) fn verdict(&self, patience: &Patience) -> Verdict {
        let now = self.now_ms();
        let [head, idle, send] =
            [patience.head, patience.idle, patience.send].map(|wait| wait.as_millis() as u64);
        let moved = self.moved_ms.load(Relaxed);
        if self.requests.load(Relaxed) > 0 {
            let slowest = self.answers().moved_ms.values().min().copied();
            if slowest.is_some_and(|moved| moved + send <= now) {
                return Verdict::Slow("answer");
            }
            return Verdict::Stays(self.at(now + patience.look().as_millis() as u64));
        }
        let began_head = match self.head_ms.load(Relaxed) {
            // A new connection has come to ask something.
            _ if !self.had_a_request.load(Relaxed) => 1,
            // On HTTP/2 there are other things to say, and what is unfinished of a head is bounded.
            _ if self.is_http2.load(Relaxed) => 0,
            head_ms => head_ms,
        };
        if began_head > 0 && began_head + head <= now {
            return Verdict::Slow("head");
        }
        if moved + idle <= now {
            return Verdict::Idle;
        }
        // A head that begins right now may take until then.
        let head_end = if began_head > 0 { began_head + head } else { now + head };
        Verdict::Stays(self.at((moved + idle).min(head_end)))
    }

    /// Whether a request is likely to come right now: a part of its head is there, or the connection was only just made.
    pub(super) fn is_about_to_ask(&self) -> bool {
        if self.requests.load(Relaxed) > 0 || self.is_http2.load(Relaxed) {
            return false;
        }
        self.head_ms.load(Relaxed) > 0
            || (!self.had_a_request.load(Relaxed) && self.began.elapsed() < FIRST_BYTES)
    }

    fn at(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }
}

/// A request under way, until its answer is handed over.
pub(super) struct Request {
    activity: Arc<Activity>,
    /// Its answer's number, as soon as it is being sent.
    answer: Option<u64>,
}

impl Request {
    /// A part of its answer is taken.
    pub(super) fn sends(&mut self) {
        let now = self.activity.moved();
        let mut answers = self.activity.answers();
        let answer = *self.answer.get_or_insert_with(|| {
            answers.last += 1;
            answers.last
        });
        answers.moved_ms.insert(answer, now);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.activity.moved();
        if let Some(answer) = self.answer {
            self.activity.answers().moved_ms.remove(&answer);
        }
        self.activity.requests.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn patience() -> Patience {
        let [head, idle, send] = [10, 75, 30].map(Duration::from_secs);
        Patience { head, idle, send }
    }

    /// Lets time pass, looking as often as the verdicts ask to.
    async fn after(activity: &Activity, seconds: u64) -> Verdict {
        let end = Instant::now() + Duration::from_secs(seconds);
        loop {
            match activity.verdict(&patience()) {
                Verdict::Stays(next) if next <= end => advance(next - Instant::now()).await,
                Verdict::Stays(_) => {
                    advance(end - Instant::now()).await;
                    return activity.verdict(&patience());
                }
                verdict => return verdict,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_asks_nothing_is_slow_at_first_and_idle_later() {
        let activity = Arc::new(Activity::new());
        assert!(matches!(after(&activity, 9).await, Verdict::Stays(_)));
        assert_eq!(after(&activity, 2).await, Verdict::Slow("head"));
        drop(activity.begin(false));
        assert!(matches!(after(&activity, 70).await, Verdict::Stays(_)));
        assert_eq!(after(&activity, 6).await, Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_about_to_ask_when_it_is_new_or_has_begun_to() {
        let activity = Arc::new(Activity::new());
        assert!(activity.is_about_to_ask());
        advance(FIRST_BYTES).await;
        assert!(!activity.is_about_to_ask());
        let request = activity.begin(false);
        assert!(!activity.is_about_to_ask(), "it has asked");
        drop(request);
        assert!(!activity.is_about_to_ask());
        activity.arrived();
        assert!(activity.is_about_to_ask());
        drop(activity.begin(true));
        activity.arrived();
        assert!(!activity.is_about_to_ask(), "HTTP/2 tells the other end when to stop");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_dribbles_in_is_slow_however_often_a_byte_comes() {
        let activity = Arc::new(Activity::new());
        drop(activity.begin(false));
        assert!(matches!(after(&activity, 20).await, Verdict::Stays(_)));
        for _ in 0..9 {
            activity.arrived();
            assert!(matches!(after(&activity, 1).await, Verdict::Stays(_)));
        }
        activity.arrived();
        assert_eq!(after(&activity, 2).await, Verdict::Slow("head"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_wait_but_its_answer_must_be_taken() {
        let activity = Arc::new(Activity::new());
        let mut request = activity.begin(true);
        assert!(matches!(after(&activity, 300).await, Verdict::Stays(_)));
        request.sends();
        assert!(matches!(after(&activity, 29).await, Verdict::Stays(_)));
        request.sends();
        assert!(matches!(after(&activity, 29).await, Verdict::Stays(_)));
        assert_eq!(after(&activity, 12).await, Verdict::Slow("answer"));
        drop(request);
        activity.arrived();
        assert!(matches!(after(&activity, 70).await, Verdict::Stays(_)), "pings of HTTP/2 are no head");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_goes_on_keeps_no_other_one_that_stalls() {
        let activity = Arc::new(Activity::new());
        let (mut busy, mut stalled) = (activity.begin(true), activity.begin(true));
        stalled.sends();
        for _ in 0..2 {
            busy.sends();
            assert!(matches!(after(&activity, 10).await, Verdict::Stays(_)));
        }
        busy.sends();
        assert_eq!(after(&activity, 15).await, Verdict::Slow("answer"));
        drop(stalled);
        assert!(matches!(activity.verdict(&patience()), Verdict::Stays(_)));
    }
}
