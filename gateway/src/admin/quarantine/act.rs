//! To release an event from quarantine, and to dismiss what nobody need look at any more.

use axum::extract::State;
use serde::Deserialize;
use tidelog_events::code::Refusal;
use tidelog_events::command::{Command, DismissMessage, DismissQuarantined, ReleaseQuarantined};
use tidelog_runtime::clock::Clock;
use utoipa::ToSchema;

use super::EntryId;
use crate::auth::AdminActor;
use crate::command::{CommandAnswer, Commands};
use crate::json_body::OptionalJsonBody;
use crate::problem::Problem;

/// Release an event
///
/// Appends it to the log unchanged, with its stamp, device and sequence, behind the head, if the schema in force accepts it.
/// Messages that are kept whole are no events: they can only be dismissed.
#[utoipa::path(
    post,
    path = "/admin/v1/quarantine/{id}/release",
    tag = "quarantine",
    params(("id" = String, Path, description = "The entry's `id`")),
    responses(
        (status = 200, description = "It is in the log, from this call or an earlier one", body = CommandAnswer,
         example = json!({"done": true, "position": 151})),
        (status = 202, description = "Durable in the broker, not yet done", body = CommandAnswer,
         example = json!({"done": false})),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 404, description = "`not-found`: no such entry, or no longer", body = Problem),
        (status = 409, description = "`event-not-releasable`: `detail` says what is wrong with it", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn release_event(
    AdminActor(caller): AdminActor,
    id: EntryId,
    State(commands): State<Commands>,
) -> Result<CommandAnswer, Problem> {
    let EntryId::Event { space, device_id, device_sequence } = id else {
        let detail = "it is a message that no events could be read from; it can only be dismissed";
        return Err(Problem::new(Refusal::EventNotReleasable, detail));
    };
    let release = ReleaseQuarantined { space, device_id, device_sequence, by: caller.user };
    Ok(commands.send(Command::ReleaseQuarantined(release)).await?.into())
}

/// Whether to hide it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"dismissed": true}))]
pub(crate) struct Dismissal {
    /// False: show it again.
    dismissed: bool,
}

/// Dismiss an entry
///
/// Hides it from lists of what is still to be dealt with. Its bytes stay, it can still be released, and its device is told of
/// it as before. With `{"dismissed": false}` it is shown again.
#[utoipa::path(
    post,
    path = "/admin/v1/quarantine/{id}/dismiss",
    tag = "quarantine",
    params(("id" = String, Path, description = "The entry's `id`")),
    request_body(content = Option<Dismissal>, description = "None is `{\"dismissed\": true}`"),
    responses(
        (status = 200, description = "It is done", body = CommandAnswer),
        (status = 202, description = "Durable in the broker, not yet done", body = CommandAnswer),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 404, description = "`not-found`: no such entry, or no longer", body = Problem),
        (status = 408, description = "`request-timeout`", body = Problem),
        (status = 413, description = "`body-too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn dismiss_entry(
    AdminActor(caller): AdminActor,
    id: EntryId,
    State(commands): State<Commands>,
    State(clock): State<Clock>,
    OptionalJsonBody(dismissal): OptionalJsonBody<Dismissal>,
) -> Result<CommandAnswer, Problem> {
    let dismissed = dismissal.is_none_or(|dismissal| dismissal.dismissed);
    let (by, at) = (caller.user, clock.now());
    let command = match id {
        EntryId::Event { space, device_id, device_sequence } => {
            Command::DismissQuarantined(DismissQuarantined {
                space,
                device_id,
                device_sequence,
                dismissed,
                by,
                at,
            })
        }
        EntryId::Message { space, digest } => {
            Command::DismissMessage(DismissMessage { space, digest, dismissed, by, at })
        }
    };
    Ok(commands.send(command).await?.into())
}
