//! Commands of people on their way to ingest, through the broker as pushes go: the gateway itself changes nothing.

use std::sync::Arc;

use async_nats::HeaderMap;
use axum::Json;
use axum::body::Bytes;
use axum::extract::FromRef;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tidelog_events::command::{Command, CommandMessage};
use tidelog_events::id::Position;
use tidelog_events::protocol::{Done, Outcome};
use tidelog_runtime::broker::Broker;
use utoipa::ToSchema;

use crate::config::GatewayConfig;
use crate::problem::Problem;
use crate::push::{self, Pushes};
use crate::state::AppState;

/// The way to ingest.
pub(crate) struct Commands {
    broker: Broker,
    pushes: Pushes,
    config: Arc<GatewayConfig>,
}

impl FromRef<AppState> for Commands {
    fn from_ref(state: &AppState) -> Self {
        let AppState { broker, push, config, .. } = state;
        Self { broker: broker.clone(), pushes: push.pushes.clone(), config: config.clone() }
    }
}

impl Commands {
    /// Sends a command, and waits until it is carried out; `None`: not yet, but the broker has it.
    pub(crate) async fn send(&self, command: Command) -> Result<Option<Done>, Problem> {
        let slot = command.slot();
        let waiting = self.pushes.expect_receipt();
        let (reply_to, push_id) = waiting.address_parts();
        let message = CommandMessage { command, reply_to, push_id };
        let header = serde_json::to_string(&message).map_err(|error| Problem::internal(&error))?;
        let mut headers = HeaderMap::new();
        headers.insert(CommandMessage::NAME, header);
        push::hand_over(&self.broker, slot, headers, Bytes::new()).await?;
        match waiting.receipt(self.config.commit_wait()).await {
            Some(Outcome::Done(done)) => Ok(Some(done)),
            Some(Outcome::Refused { code, detail, .. }) => Err(Problem::new(code, detail)),
            // No command is answered like a batch; what became of this one is then not known.
            Some(Outcome::Committed(_)) | None => Ok(None),
        }
    }
}

/// What became of a command.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"done": true}))]
pub(crate) struct CommandAnswer {
    /// True: it is done. False (status 202): it is durable in the broker and will be.
    pub(crate) done: bool,
    /// Of a released event: its position in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub(crate) position: Option<Position>,
}

impl From<Option<Done>> for CommandAnswer {
    fn from(done: Option<Done>) -> Self {
        Self { done: done.is_some(), position: done.and_then(|done| done.position) }
    }
}

impl IntoResponse for CommandAnswer {
    fn into_response(self) -> Response {
        let status = if self.done { StatusCode::OK } else { StatusCode::ACCEPTED };
        (status, Json(self)).into_response()
    }
}
