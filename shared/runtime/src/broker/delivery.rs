//! A message that the broker has handed out to this process. Whoever drops one that is not settled, wherever that is, gives
//! it back: another replica gets it in a moment, and not after `ack_wait`.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_nats::Subject;
use async_nats::jetstream::{AckKind, Message};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Broker, acknowledge};

/// At once it might come to this very process, whose intake is only just ending.
const GIVE_BACK_DELAY: Duration = Duration::from_millis(100);

/// How long the last of them may take at the end.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(1);

/// Takes what is to be given back. There is never more of it than the broker hands out.
#[derive(Clone)]
pub struct Returns(UnboundedSender<Subject>);

/// A message to be settled.
pub struct Delivery {
    message: Message,
    is_settled: AtomicBool,
    returns: Returns,
}

impl Delivery {
    /// A message that is given back through `returns`, unless it is settled.
    pub fn new(message: Message, returns: Returns) -> Self {
        Self { message, is_settled: AtomicBool::new(false), returns }
    }

    /// Tells the broker that the message is settled. A lost acknowledgement costs a redelivery, which must be harmless.
    pub async fn acknowledge(&self) {
        self.is_settled.store(true, Relaxed);
        acknowledge(self.message.ack()).await;
    }

    /// Tells the broker that the message is still being worked on.
    pub async fn in_progress(&self) {
        acknowledge(self.message.ack_with(AckKind::Progress)).await;
    }
}

impl Deref for Delivery {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !*self.is_settled.get_mut()
            && let Some(reply) = self.message.message.reply.take()
        {
            // Nobody takes it only when the process ends.
            let _ = self.returns.0.send(reply);
        }
    }
}

/// The other end of [`Returns`]: gives back what is dropped.
pub struct GivingBack(JoinHandle<usize>);

impl Broker {
    /// Gives back what is dropped from now on, until [`GivingBack::finish`].
    pub fn give_back(&self) -> (Returns, GivingBack) {
        let (sender, dropped) = unbounded_channel();
        (Returns(sender), GivingBack(tokio::spawn(give_back(self.clone(), dropped))))
    }
}

impl GivingBack {
    /// To be called when nothing is in work any more. Says how much was given back, and that has arrived at the broker then.
    pub async fn finish(self, broker: &Broker) {
        if let Ok(Ok(messages)) = timeout(GIVE_BACK_TIMEOUT, self.0).await {
            tracing::info!(messages, "stopped; what was not settled is given back");
        } else {
            tracing::warn!("stopped; what was not settled comes again after broker.ack_wait_seconds");
        }
        // Acknowledgements, too, must have arrived before the process ends.
        broker.round_trip().await;
    }
}

async fn give_back(broker: Broker, mut dropped: UnboundedReceiver<Subject>) -> usize {
    let mut messages = 0;
    while let Some(reply) = dropped.recv().await {
        messages += 1;
        let refusal = AckKind::Nak(Some(GIVE_BACK_DELAY)).into();
        let sending = broker.client().publish(reply, refusal);
        acknowledge(async { sending.await.map_err(Into::into) }).await;
    }
    messages
}
