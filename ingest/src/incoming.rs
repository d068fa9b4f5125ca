//! A batch, or a command, together with the broker message that brought it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::Message;
use tidelog_events::command::CommandMessage;
use tidelog_events::frame::PushHeader;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::broker::Delivery;
use tidelog_runtime::telemetry::{self, Trace};
use tracing::Span;

use crate::batch::{Batch, Unreadable};
use crate::room::{Held, Place};

/// What a message brought.
pub(crate) enum Arrived {
    Batch(Incoming),
    Command(IncomingCommand),
}

impl Arrived {
    /// Reads the message; what cannot be read comes back with the reason.
    pub(crate) fn read(held: Held) -> Result<Self, Box<(Arc<Delivery>, Unreadable)>> {
        if header(&held.message, CommandMessage::NAME).is_some() {
            IncomingCommand::read(held).map(Self::Command)
        } else {
            Incoming::read(held).map(Self::Batch)
        }
    }
}

/// A command to be carried out.
pub(crate) struct IncomingCommand {
    pub(crate) command: CommandMessage,
    /// On the lines of the log.
    pub(crate) span: Span,
    /// Of the request that sent it.
    pub(crate) trace: Trace,
    held: Held,
}

impl IncomingCommand {
    fn read(held: Held) -> Result<Self, Box<(Arc<Delivery>, Unreadable)>> {
        let told = header(&held.message, CommandMessage::NAME).unwrap_or_default();
        match serde_json::from_str::<CommandMessage>(told) {
            Ok(command) => {
                let trace = trace("command", &held.message);
                let span = tracing::error_span!("command", trace_id = %trace.id());
                Ok(Self { command, span, trace, held })
            }
            Err(error) => Err(Box::new((held.message, Unreadable::Command(error)))),
        }
    }

    /// The message as it came.
    pub(crate) fn message(&self) -> &Delivery {
        &self.held.message
    }
}

/// A batch to be settled.
pub(crate) struct Incoming {
    pub(crate) batch: Batch,
    /// On the lines of the log.
    pub(crate) span: Span,
    /// Of the request that pushed it.
    pub(crate) trace: Trace,
    message: Arc<Delivery>,
    place: Arc<Place>,
}

impl Incoming {
    fn read(held: Held) -> Result<Self, Box<(Arc<Delivery>, Unreadable)>> {
        let Held { message, place } = held;
        match Batch::read(header(&message, PushHeader::NAME), &message.payload) {
            Ok(batch) => {
                let trace = trace("batch", &message);
                let device = batch.header.device_id.as_ref().map(tracing::field::display);
                let space = tracing::field::display(&batch.header.space);
                let span = tracing::error_span!("batch", space, device, trace_id = %trace.id());
                Ok(Self { batch, span, trace, message, place })
            }
            Err(unreadable) => Err(Box::new((message, unreadable))),
        }
    }

    /// The same message with its batch rewritten.
    pub(crate) fn rewritten(&self, batch: Batch) -> Self {
        let (span, trace) = (self.span.clone(), self.trace.clone());
        Self { batch, span, trace, message: self.message.clone(), place: self.place.clone() }
    }

    /// Bytes of the message and of what its frames decode to.
    pub(crate) fn bytes(&self) -> usize {
        self.place.bytes
    }

    /// The message as it came.
    pub(crate) fn message(&self) -> &Delivery {
        &self.message
    }

    /// When the broker took the batch.
    pub(crate) fn published(&self) -> SystemTime {
        published(&self.message)
    }

    /// Time since the gateway published the batch.
    pub(crate) fn age(&self, now: UtcTime) -> Duration {
        let Ok(about) = self.message.info() else { return Duration::ZERO };
        let published_ms = about.published.unix_timestamp_nanos() / 1_000_000;
        let age_ms = i128::from(now.0) - published_ms;
        Duration::from_millis(u64::try_from(age_ms).unwrap_or_default())
    }
}

fn trace(name: &'static str, message: &Message) -> Trace {
    Trace::of_message(name, "PUSH", message.headers.as_ref(), published(message))
}

fn published(message: &Message) -> SystemTime {
    message.info().map_or_else(|_| telemetry::now(), |about| about.published.into())
}

/// The header that the gateway wrote, of a batch or of a command, if there is one.
pub(crate) fn told(message: &Message) -> Option<&str> {
    header(message, CommandMessage::NAME).or_else(|| header(message, PushHeader::NAME))
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}
