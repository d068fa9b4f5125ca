//! Messages put straight into PUSH, past the gateway: what a gateway would write, and what none ever would.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde_json::{Value, json};
use tidelog_events::frame::PushHeader;
use tidelog_events::id::SpaceId;
use uuid::Uuid;

use crate::batch::{Batch, event_id};
use crate::world::World;

/// A message of PUSH.
#[derive(Debug, Clone)]
pub struct PushMessage {
    space: String,
    /// What stands in the message's header; none for a message without one.
    pub header: Option<Value>,
    /// The payload.
    pub payload: Vec<u8>,
}

impl PushMessage {
    /// The device's valid events `first..=last`, as a gateway would publish them. Nobody waits for the receipt.
    pub fn new(user: &str, device: &str, first: u64, last: u64) -> Self {
        let batch = Batch::new(device, first, last);
        let payload = batch.frame();
        let header = json!({
            "space": user,
            "userId": user,
            "deviceId": device,
            "first": first,
            "last": last,
            "lastEventId": event_id(device, last),
            "after": batch.header["after"],
            "receivedAt": "2025-08-06T10:30:01.000Z",
            "schemaVersion": 3,
            "acceptedBytes": payload.len(),
            "replyTo": "nobody",
            "pushId": 1,
        });
        Self { space: user.to_owned(), header: Some(header), payload }
    }

    /// Any payload without a header, in a space's slot.
    pub fn raw(space: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self { space: space.to_owned(), header: None, payload: payload.into() }
    }

    /// The same with a member of the header replaced or added.
    ///
    /// # Panics
    /// When there is no header.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.header.as_mut().expect("a header")[key] = value.into();
        self
    }

    /// The same with another header, which need not be one.
    #[must_use]
    pub fn with_header(mut self, header: impl Into<Value>) -> Self {
        self.header = Some(header.into());
        self
    }

    /// The same with another payload.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Publishes it and awaits the broker's acknowledgement.
    ///
    /// # Panics
    /// When the broker does not take it.
    pub async fn publish(&self, world: &World) {
        let space = SpaceId::new(self.space.as_str()).expect("a space");
        let mut headers = HeaderMap::new();
        match &self.header {
            // A text stands for itself: a header that is no JSON.
            Some(Value::String(text)) => headers.insert(PushHeader::NAME, text.as_str()),
            Some(header) => headers.insert(PushHeader::NAME, header.to_string()),
            None => {}
        }
        let id = Uuid::new_v4().to_string();
        let payload = Bytes::from(self.payload.clone());
        world.broker.publish_batch(space.slot(), &id, headers, payload).await.expect("an acknowledgement");
    }
}
