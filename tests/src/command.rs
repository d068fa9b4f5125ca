//! Commands put straight into PUSH, past the gateway: again, late, and in another order.

use async_nats::HeaderMap;
use bytes::Bytes;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use tidelog_cli::token::Claims;
use tidelog_events::command::{Command, CommandMessage};
use uuid::Uuid;

use crate::poll::eventually;
use crate::world::{SECRET, World};

impl World {
    /// Publishes a command and awaits the broker's acknowledgement. Nobody waits for the receipt.
    ///
    /// # Panics
    /// When the broker does not take it.
    pub async fn publish_command(&self, command: &Command) {
        let message = CommandMessage { command: command.clone(), reply_to: "nobody".to_owned(), push_id: 1 };
        self.publish_command_text(command.slot(), &json!(message).to_string()).await;
    }

    /// The same with any text in the command's header.
    ///
    /// # Panics
    /// When the broker does not take it.
    pub async fn publish_command_text(&self, slot: u16, text: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(CommandMessage::NAME, text);
        let id = Uuid::new_v4().to_string();
        let published = self.broker.publish_batch(slot, &id, headers, Bytes::new()).await;
        published.expect("an acknowledgement");
    }

    /// Waits until every message of PUSH is acknowledged.
    ///
    /// # Panics
    /// When it does not get there.
    pub async fn everything_is_settled(&self) {
        eventually("everything is acknowledged", async || {
            let fill = self.broker.push_fill().await.ok()?;
            (fill.ack_floor == fill.last_sequence).then_some(())
        })
        .await;
    }

    /// A user's token that is bound to a device, by the world's clock.
    ///
    /// # Panics
    /// Never with the tests' secret.
    pub fn bound_token(&self, user: &str, device: &str) -> String {
        let mut claims = json!(Claims::from_time(self.clock.now(), user, 1));
        claims["device"] = json!(device);
        encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("a token")
    }
}
