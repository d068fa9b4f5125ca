//! A program that a sender of push notifications would build on: it follows the log of every space over the broker's
//! stream LOG, and prints a line for each notification that it would send. docs/log-consumer.md tells how it works.
//!
//!     NATS_URL=… GATEWAY_URL=… TOKEN=… cargo run -p tidelog-cli --example log_consumer

mod checkpoints;
mod follower;
mod notification;

use anyhow::{Context, Result};
use async_nats::{ConnectOptions, jetstream};
use futures_util::StreamExt;

use checkpoints::Checkpoints;
use follower::{Follower, Start, consumer};
use notification::notification;

#[tokio::main]
async fn main() -> Result<()> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("set {name}"));
    // Answers come where no other user of the broker may listen: its permissions name this prefix.
    let mut options = ConnectOptions::new().custom_inbox_prefix("_INBOX_notifications");
    if let Ok(user) = variable("NATS_USER") {
        options = options.user_and_password(user, variable("NATS_PASSWORD")?);
    }
    let nats = options.connect(variable("NATS_URL")?).await.context("cannot reach NATS")?;
    // Names with another `broker.stream_prefix` begin with that.
    let consumer = consumer(&jetstream::new(nats), "LOG", "notifications").await?;
    let checkpoints = Checkpoints::open("notifications.json")?;
    let mut follower = Follower::new(
        &variable("GATEWAY_URL")?,
        &variable("TOKEN")?,
        checkpoints,
        Start::WithTheFirstMessage,
    )?;
    let mut messages = consumer.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        follower
            .take(&message, async |event| {
                if let Some(notification) = notification(&event) {
                    println!("{notification}");
                }
                Ok(())
            })
            .await?;
        // Only now: whatever ends this program before, the broker hands the message out again.
        message.ack().await.map_err(|error| anyhow::anyhow!(error))?;
    }
    Ok(())
}
