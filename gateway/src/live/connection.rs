//! One live connection: sends the log as it grows, takes pushes, and ends with a reason. Holds a few kilobytes while
//! nothing happens, and a bounded number whatever does.

use std::sync::Arc;
use std::time::Duration;

use axum::body::BodyDataStream;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tidelog_events::code::Refusal;
use tidelog_events::id::Position;
use tidelog_events::live::{CloseReason, LiveCall, LiveClosing, LiveNotice, MAX_PRESENCE_BYTES, Presence};
use tidelog_events::protocol::DeviceHint;
use tidelog_events::report::DeviceReport;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite;

use super::Live;
use super::mailbox::Letters;
use super::rooms::Place;
use crate::auth::SpaceReader;
use crate::device_facts::{self, ToldByDevice};
use crate::pull::{Piece, Tail, TailEnd};

/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Presences that a device may show in a second, about; of more the last one counts.
const PRESENCE_INTERVAL: Duration = Duration::from_millis(250);

/// Bytes of a message that is no batch: a presence, or a cursor with a report.
const CALL_BYTES_MAX: usize = 8192;
/// Cursors that a device may tell; those that come sooner are passed over.
const CURSOR_INTERVAL: Duration = Duration::from_secs(2);
/// How often ingest is told of a device that is connected and gets nothing new.
const HINT_INTERVAL: Duration = Duration::from_mins(10);

/// Why a connection is over.
pub(super) enum Ended {
    /// The other end has gone.
    Gone,
    /// It must be closed.
    Because(CloseReason, String),
}

impl From<TailEnd> for Ended {
    fn from(end: TailEnd) -> Self {
        Self::Because(end.reason, end.detail)
    }
}

/// A connection.
pub(super) struct Connection {
    pub(super) live: Arc<Live>,
    pub(super) reader: SpaceReader,
    pub(super) tail: Tail,
    pub(super) as_lines: bool,
    pub(super) place: Place,
    pub(super) socket: WebSocket,
    /// Unique among the connections of all gateways.
    pub(super) id: String,
    /// Pushes so far.
    pub(super) pushes: u64,
    pub(super) push_room: Arc<Semaphore>,
    /// The last position of which all was sent.
    pub(super) sent: Position,
    /// A snapshot on its way.
    pub(super) snapshot: Option<BodyDataStream>,
    /// Whether the log may have more than was sent.
    pub(super) is_behind: bool,
    /// When something was last heard of the other end.
    pub(super) heard_at: Instant,
    pub(super) ping_at: Instant,
    /// What the handshake told of the device; told to ingest once.
    pub(super) told: ToldByDevice,
    /// What ingest was last told of the device's cursor, and when.
    pub(super) hinted: Option<(Position, Instant)>,
    /// What is to be shown to others, and since when it may be.
    pub(super) showing: Option<serde_json::Value>,
    pub(super) show_at: Instant,
    /// When it is closed since the gateway stops.
    pub(super) leave_at: Option<Instant>,
}

impl Connection {
    /// Serves it to its end.
    pub(super) async fn run(mut self) {
        let ended = match self.begin().await {
            Ok(()) => self.serve().await,
            Err(ended) => ended,
        };
        let reason = match &ended {
            Ended::Gone => "gone",
            Ended::Because(reason, _) => reason.as_str(),
        };
        metrics::counter!("tidelog_gateway_live_ended_total", "reason" => reason).increment(1);
        if let Ended::Because(reason, detail) = ended {
            self.close(reason, detail).await;
        }
    }

    async fn begin(&mut self) -> Result<(), Ended> {
        let now = self.live.push.clock.now();
        let schema = self.live.push.schema.get();
        // Boxed, so that a connection that waits holds little memory.
        let began = Box::pin(self.tail.begin(self.live.means(&schema), now)).await;
        let piece = began.map_err(TailEnd::from)?;
        self.place.mailbox.told(self.tail.epoch());
        match piece {
            Piece::Whole(bytes) => self.send_log(bytes).await?,
            Piece::Streamed(body) => self.snapshot = Some(body.into_data_stream()),
        }
        for presence in self.place.present() {
            self.send_notice(LiveNotice::Presence(presence)).await?;
        }
        self.is_behind = true;
        Ok(())
    }

    /// Sends what comes, until there is a reason to end. What the log has is sent a piece at a time, so that nothing else has to
    /// wait for all of it.
    async fn serve(&mut self) -> Ended {
        let mut is_live = false;
        loop {
            let (place, beat, live) = (&self.place, self.next_beat(), self.live.clone());
            let has_more = self.is_behind || self.snapshot.is_some();
            let step = tokio::select! {
                () = live.shutdown.cancelled(), if self.leave_at.is_none() => Step::Drain,
                message = self.socket.recv() => Step::Message(message),
                () = place.mailbox.arrived() => Step::Letters,
                // What was committed before this is found by the read that follows.
                () = place.live(), if !is_live => Step::Live,
                turn = live.pieces.acquire(), if has_more => Step::More(turn.ok()),
                () = sleep_until(beat) => Step::Beat,
            };
            let done = match step {
                Step::Drain => {
                    // All of a gateway's connections come back elsewhere: not at once. Until then nothing changes.
                    let spread_ms = fastrand::u64(0..=self.live.config.drain_spread_ms);
                    self.leave_at = Some(Instant::now() + Duration::from_millis(spread_ms));
                    Ok(())
                }
                Step::Message(message) => self.take(message),
                Step::Letters => self.deliver().await,
                Step::Live => {
                    (is_live, self.is_behind) = (true, true);
                    Ok(())
                }
                Step::More(_turn) => self.send_more().await,
                Step::Beat => self.beat().await,
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    fn next_beat(&self) -> Instant {
        let mut beat = self.ping_at;
        if let Some(expires_at) = self.reader.caller.expires_at {
            let left_ms = expires_at.0.saturating_sub(self.live.push.clock.now().0).max(0).unsigned_abs();
            beat = beat.min(Instant::now() + Duration::from_millis(left_ms));
        }
        if self.showing.is_some() {
            beat = beat.min(self.show_at);
        }
        self.leave_at.map_or(beat, |leave_at| beat.min(leave_at))
    }

    /// What is due by time.
    async fn beat(&mut self) -> Result<(), Ended> {
        let (now, ping_every) = (Instant::now(), Duration::from_secs(self.live.config.ping_seconds));
        if self.leave_at.is_some_and(|leave_at| leave_at <= now) {
            let detail = "the gateway stops: connect again".to_owned();
            return Err(Ended::Because(CloseReason::GoingAway, detail));
        }
        if self.reader.caller.expires_at.is_some_and(|at| at <= self.live.push.clock.now()) {
            return Err(refused(Refusal::Unauthorized, "the token has expired"));
        }
        if now >= self.show_at
            && let Some(state) = self.showing.take()
        {
            self.show_at = now + PRESENCE_INTERVAL;
            self.place.show(Presence {
                connection: self.id.clone(),
                user_id: self.reader.caller.user.clone(),
                device_id: self.tail.device().cloned(),
                state,
            });
        }
        if now >= self.ping_at {
            if now.duration_since(self.heard_at) > 2 * ping_every {
                return Err(slow("nothing was heard, not even an answer to a ping"));
            }
            self.ping_at = now + ping_every;
            self.hint_reader(now);
            self.send(Message::Ping(Bytes::new())).await?;
        }
        Ok(())
    }

    /// Tells ingest what the device was sent, if that is news.
    fn hint_reader(&mut self, now: Instant) {
        let cursor = self.sent;
        let is_known = self
            .hinted
            .is_some_and(|(hinted, at)| hinted == cursor && now.duration_since(at) < HINT_INTERVAL);
        if !is_known {
            self.hinted = Some((cursor, now));
            self.hint_device(cursor, None);
        }
    }

    /// Tells ingest what the device has, and what it tells of itself.
    fn hint_device(&mut self, cursor: Position, report: Option<DeviceReport>) {
        let Some(device) = self.tail.device().cloned() else { return };
        let told = std::mem::take(&mut self.told);
        let hint = device_facts::hint_of(&self.reader.caller, self.reader.space.clone(), device);
        let mut report = report.and_then(DeviceReport::checked);
        report.iter_mut().for_each(device_facts::count_syncs);
        let report = report.or(told.report);
        let hint = DeviceHint { cursor: Some(cursor), app_version: told.app_version, report, ..hint };
        device_facts::send(self.live.push.broker.clone(), &hint);
    }

    /// Sends what has arrived. Before a segment that leaves a gap stands what the log has.
    async fn deliver(&mut self) -> Result<(), Ended> {
        let Letters { segments, head, notices, closing, .. } = self.place.mailbox.take();
        if let Some((reason, detail)) = closing {
            return Err(Ended::Because(reason, detail.to_owned()));
        }
        let schema = self.live.push.schema.get();
        for segment in segments {
            if self.is_behind || self.snapshot.is_some() || segment.last() <= self.tail.cursor() {
                continue;
            }
            match self.tail.follow(&segment, self.live.means(&schema))? {
                Some(bytes) => self.send_log(bytes).await?,
                None => self.is_behind = true,
            }
        }
        for notice in notices {
            self.send_notice(notice).await?;
        }
        // A log that has just begun has an epoch that its reader was not told.
        self.is_behind |= head > self.tail.cursor() || (self.tail.epoch().is_none() && head > Position::ZERO);
        Ok(())
    }

    /// Sends the next piece of the snapshot, or of what the log has behind what was sent.
    async fn send_more(&mut self) -> Result<(), Ended> {
        if let Some(pieces) = &mut self.snapshot {
            let Some(piece) = pieces.next().await else {
                (self.snapshot, self.is_behind) = (None, true);
                self.sent = self.tail.cursor();
                return Ok(());
            };
            let piece = piece.map_err(|_| refused(Refusal::Internal, "the snapshot cannot be read"))?;
            return self.send_log(piece).await;
        }
        let schema = self.live.push.schema.get();
        // Boxed, so that a connection that waits holds little memory.
        let next = Box::pin(self.tail.next(self.live.means(&schema))).await;
        let Some(bytes) = next? else {
            self.is_behind = false;
            self.place.mailbox.told(self.tail.epoch());
            return Ok(());
        };
        self.send_log(bytes).await
    }

    async fn send_log(&mut self, bytes: Bytes) -> Result<(), Ended> {
        metrics::counter!("tidelog_gateway_live_log_messages_total").increment(1);
        let message = if self.as_lines {
            let text = Utf8Bytes::try_from(bytes);
            Message::Text(text.map_err(|_| refused(Refusal::Internal, "a segment is not UTF-8"))?)
        } else {
            Message::Binary(bytes)
        };
        self.send(message).await?;
        if self.snapshot.is_none() {
            self.sent = self.tail.cursor();
        }
        Ok(())
    }

    async fn send_notice(&mut self, notice: LiveNotice) -> Result<(), Ended> {
        let text = serde_json::to_string(&notice)
            .map_err(|_| refused(Refusal::Internal, "a notice cannot be written"))?;
        self.send(Message::Text(text.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Ended> {
        let limit = Duration::from_millis(self.live.config.send_timeout_ms);
        match timeout(limit, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::Gone),
            Err(_) => Err(slow("a message was not taken in time")),
        }
    }

    /// Takes in what the other end says.
    fn take(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Ended> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) if is_too_large(&error) => {
                let detail = format!("a message has at most {} bytes", self.live.config.message_bytes);
                return Err(Ended::Because(CloseReason::TooLarge, detail));
            }
            Some(Err(_)) | None => return Err(Ended::Gone),
        };
        self.heard_at = Instant::now();
        match message {
            Message::Binary(frame) => self.push(frame, true),
            Message::Text(text) if text.starts_with("{\"batch\"") => self.push(text.into(), false),
            Message::Text(text) => self.call(&text)?,
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return Err(Ended::Gone),
        }
        Ok(())
    }

    fn call(&mut self, text: &str) -> Result<(), Ended> {
        if text.len() > CALL_BYTES_MAX {
            let detail = format!("what is no batch has at most {CALL_BYTES_MAX} bytes");
            return Err(refused(Refusal::RequestInvalid, &detail));
        }
        let call = serde_json::from_str::<LiveCall>(text);
        match call.map_err(|error| refused(Refusal::RequestInvalid, &error.to_string()))? {
            LiveCall::Cursor(call) => {
                let is_due =
                    self.hinted.is_none_or(|(_, at)| self.heard_at.duration_since(at) >= CURSOR_INTERVAL);
                if call.position <= self.sent && is_due {
                    self.hinted = Some((call.position, self.heard_at));
                    self.hint_device(call.position, call.report);
                }
            }
            LiveCall::Presence(call) => {
                if call.state.to_string().len() > MAX_PRESENCE_BYTES {
                    let detail = format!("a presence has at most {MAX_PRESENCE_BYTES} bytes");
                    return Err(refused(Refusal::RequestInvalid, &detail));
                }
                self.showing = Some(call.state);
            }
        }
        Ok(())
    }

    async fn close(mut self, reason: CloseReason, detail: String) {
        let cursor = self.sent;
        let said = format!("{}; cursor={cursor}", reason.as_str());
        let closing = LiveNotice::Closing(LiveClosing { code: reason, cursor, detail });
        let frame = CloseFrame { code: reason.close_code(), reason: said.into() };
        let last_words = async {
            if let Ok(text) = serde_json::to_string(&closing) {
                self.socket.feed(Message::Text(text.into())).await?;
            }
            self.socket.send(Message::Close(Some(frame))).await?;
            // The other end answers; only then may the connection go, or what is on its way would be lost.
            while self.socket.recv().await.is_some_and(|message| message.is_ok()) {}
            Ok::<_, axum::Error>(())
        };
        // Whoever does not take them learns the same from the end of the connection.
        let _ = timeout(LAST_WORDS, last_words).await;
    }
}

/// What there is to do.
enum Step<'a> {
    Drain,
    Message(Option<Result<Message, axum::Error>>),
    Letters,
    Live,
    /// With the turn to hold a piece of the log.
    More(Option<SemaphorePermit<'a>>),
    Beat,
}

fn is_too_large(error: &axum::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<tungstenite::Error>());
    matches!(cause, Some(tungstenite::Error::Capacity(_)))
}

pub(super) fn refused(refusal: Refusal, detail: &str) -> Ended {
    Ended::Because(CloseReason::Refused(refusal), detail.to_owned())
}

fn slow(detail: &str) -> Ended {
    Ended::Because(CloseReason::SlowReader, detail.to_owned())
}
