//! To revoke a device for its user, and to restore it.

use axum::extract::{FromRef, State};
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::command::{Command, SetDeviceProfile};
use tidelog_events::id::{DeviceId, SpaceId, UserId};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::database::within;
use tidelog_store::devices;

use crate::admin::path::SpaceOfPath;
use crate::auth::AdminActor;
use crate::command::{CommandAnswer, Commands};
use crate::devices::DeviceOfPath;
use crate::problem::Problem;
use crate::pull::READ_TIMEOUT;
use crate::revocations::Revocations;
use crate::state::AppState;

/// Revoke a device
///
/// For the device's user, in whichever space it is seen: it may push and pull no more, anywhere, from at most some seconds
/// later on. What it has recorded stays on it.
#[utoipa::path(
    post,
    path = "/admin/v1/spaces/{space}/devices/{deviceId}/revoke",
    tag = "devices",
    params(
        ("space" = String, Path, description = "A space that the device has pushed to, or its user's own", example = "ann"),
        ("deviceId" = String, Path, description = "The device", example = "phone-1"),
    ),
    responses(
        (status = 200, description = "It is done", body = CommandAnswer),
        (status = 202, description = "Durable in the broker, not yet done", body = CommandAnswer),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 404, description = "`not-found`: the space has no such device", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn revoke_device(
    AdminActor(caller): AdminActor,
    SpaceOfPath(space): SpaceOfPath,
    DeviceOfPath(device): DeviceOfPath,
    State(profiles): State<Profiles>,
) -> Result<CommandAnswer, Problem> {
    profiles.set_revoked(&space, device, true, caller.user).await
}

/// Restore a revoked device
///
/// It may push and pull again, from at most some seconds later on.
#[utoipa::path(
    post,
    path = "/admin/v1/spaces/{space}/devices/{deviceId}/restore",
    tag = "devices",
    params(
        ("space" = String, Path, description = "A space that the device has pushed to, or its user's own", example = "ann"),
        ("deviceId" = String, Path, description = "The device", example = "phone-1"),
    ),
    responses(
        (status = 200, description = "It is done", body = CommandAnswer),
        (status = 202, description = "Durable in the broker, not yet done", body = CommandAnswer),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 404, description = "`not-found`: the space has no such device", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn restore_device(
    AdminActor(caller): AdminActor,
    SpaceOfPath(space): SpaceOfPath,
    DeviceOfPath(device): DeviceOfPath,
    State(profiles): State<Profiles>,
) -> Result<CommandAnswer, Problem> {
    profiles.set_revoked(&space, device, false, caller.user).await
}

/// What it takes to revoke and to restore a device.
pub(crate) struct Profiles {
    pool: PgPool,
    revocations: Revocations,
    commands: Commands,
    clock: Clock,
}

impl FromRef<AppState> for Profiles {
    fn from_ref(state: &AppState) -> Self {
        Self {
            pool: state.pool.clone(),
            revocations: state.revocations.clone(),
            commands: Commands::from_ref(state),
            clock: state.clock.clone(),
        }
    }
}

impl Profiles {
    async fn set_revoked(
        self,
        space: &SpaceId,
        device: DeviceId,
        revoked: bool,
        by: UserId,
    ) -> Result<CommandAnswer, Problem> {
        let owner = within(READ_TIMEOUT, async {
            let mut connection = self.pool.acquire().await?;
            match devices::owner(&mut connection, space, &device).await? {
                // A device that was lost may only have read. Whose it is then is known in a personal space alone.
                None if devices::may_be_personal(&mut connection, space).await? => {
                    Ok(UserId::new(space.as_str()).ok())
                }
                owner => Ok(owner),
            }
        });
        let owner = owner.await?.ok_or_else(|| {
            Problem::new(Refusal::NotFound, format!("the space {space} has no device {device}"))
        })?;
        let command = Command::SetDeviceProfile(SetDeviceProfile {
            space: owner.personal_space(),
            device_id: device.clone(),
            name: None,
            revoked: Some(revoked),
            by,
            at: self.clock.now(),
        });
        let done = self.commands.send(command).await?;
        self.revocations.forget(&owner, &device);
        Ok(done.into())
    }
}
