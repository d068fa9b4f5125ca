//! A batch, or a command, together with the broker message that brought it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use tidelog_events::command::CommandMessage;
use tidelog_events::frame::PushHeader;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::{broker, telemetry};
use tracing::Span;

use crate::batch::{Batch, Unreadable};
use crate::room::{Held, Place};

const GIVE_BACK_DELAY: Duration = Duration::from_millis(250);

/// What a message brought.
pub(crate) enum Arrived {
    Batch(Incoming),
    Command(IncomingCommand),
}

impl Arrived {
    /// Reads the message; what cannot be read comes back with the reason.
    pub(crate) fn read(held: Held) -> Result<Self, Box<(Message, Unreadable)>> {
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
    /// Of the request that sent it.
    pub(crate) span: Span,
    held: Held,
}

impl IncomingCommand {
    fn read(held: Held) -> Result<Self, Box<(Message, Unreadable)>> {
        let told = header(&held.message, CommandMessage::NAME).unwrap_or_default();
        match serde_json::from_str::<CommandMessage>(told) {
            Ok(command) => {
                let span = tracing::info_span!("command", trace_id = tracing::field::Empty);
                telemetry::set_parent_from_nats(&span, held.message.headers.as_ref());
                Ok(Self { command, span, held })
            }
            Err(error) => Err(Box::new((held.message, Unreadable::Command(error)))),
        }
    }

    /// The message as it came.
    pub(crate) fn message(&self) -> &Message {
        &self.held.message
    }
}

/// A batch to be settled.
pub(crate) struct Incoming {
    pub(crate) batch: Batch,
    /// Of the request that pushed it.
    pub(crate) span: Span,
    message: Message,
    place: Arc<Place>,
}

impl Incoming {
    fn read(held: Held) -> Result<Self, Box<(Message, Unreadable)>> {
        let Held { message, place } = held;
        match Batch::read(header(&message, PushHeader::NAME), &message.payload) {
            Ok(batch) => {
                let space = tracing::field::display(&batch.header.space);
                let span = tracing::info_span!("batch", space, trace_id = tracing::field::Empty);
                telemetry::set_parent_from_nats(&span, message.headers.as_ref());
                Ok(Self { batch, span, message, place })
            }
            Err(unreadable) => Err(Box::new((message, unreadable))),
        }
    }

    /// The same message with its batch rewritten.
    pub(crate) fn rewritten(&self, batch: Batch) -> Self {
        Self { batch, span: self.span.clone(), message: self.message.clone(), place: self.place.clone() }
    }

    /// Bytes of the message and of what its frames decode to.
    pub(crate) fn bytes(&self) -> usize {
        self.place.bytes
    }

    /// The message as it came.
    pub(crate) fn message(&self) -> &Message {
        &self.message
    }

    /// Time since the gateway published the batch.
    pub(crate) fn age(&self, now: UtcTime) -> Duration {
        let Ok(about) = self.message.info() else { return Duration::ZERO };
        let published_ms = about.published.unix_timestamp_nanos() / 1_000_000;
        let age_ms = i128::from(now.0) - published_ms;
        Duration::from_millis(u64::try_from(age_ms).unwrap_or_default())
    }

    /// Tells the broker that the batch is settled.
    pub(crate) async fn acknowledge(&self) {
        acknowledge(&self.message).await;
    }

    /// Tells the broker that the batch is still being worked on.
    pub(crate) async fn in_progress(&self) {
        send(&self.message, AckKind::Progress).await;
    }
}

/// The header that the gateway wrote, of a batch or of a command, if there is one.
pub(crate) fn told(message: &Message) -> Option<&str> {
    header(message, CommandMessage::NAME).or_else(|| header(message, PushHeader::NAME))
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}

/// Tells the broker that the message is settled.
pub(crate) async fn acknowledge(message: &Message) {
    send(message, AckKind::Ack).await;
}

/// Asks the broker to hand the message to somebody else, in a moment: at once it might come to this very process,
/// whose intake is only just ending.
pub(crate) async fn give_back(message: &Message) {
    send(message, AckKind::Nak(Some(GIVE_BACK_DELAY))).await;
}

/// A lost one costs a redelivery, which the watermarks make harmless.
pub(crate) async fn send(message: &Message, kind: AckKind) {
    broker::acknowledge(message.ack_with(kind)).await;
}
