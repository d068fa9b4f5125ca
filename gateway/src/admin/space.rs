//! One space: how long its log is and where it lies, how far it is folded and pruned, and which devices lag behind.

mod answer;

use axum::Json;
use axum::extract::State;
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::id::SpaceId;
use tidelog_runtime::database::within;
use tidelog_store::{compactions, devices, erasures, projections, rebuilds, snapshots, space_sizes, spaces};

use super::path::SpaceOfPath;
use crate::auth::AdminReader;
use crate::problem::Problem;
use crate::pull::{READ_TIMEOUT, erased, one_moment};

use answer::{Read, SpaceSummary};

/// Devices that the answer names, at most.
const DEVICES_MAX: usize = 100;

/// Look at a space
///
/// Where its log stands, how much there is of it in PostgreSQL and in the archive, how far it is folded and compacted, and
/// the devices that were heard of last, each with how far it is behind. All of it is of one moment.
#[utoipa::path(
    get,
    path = "/admin/v1/spaces/{space}",
    tag = "spaces",
    params(("space" = String, Path, description = "The space", example = "user-1")),
    responses(
        (status = 200, description = "The space", body = SpaceSummary),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: the token has no admin scope", body = Problem),
        (status = 404, description = "`not-found`: nothing was ever pushed to it", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`: also where the call could not be recorded", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn look_at_space(
    _: AdminReader,
    SpaceOfPath(space): SpaceOfPath,
    State(pool): State<PgPool>,
) -> Result<Json<SpaceSummary>, Problem> {
    match within(READ_TIMEOUT, read(&pool, &space)).await? {
        Found::Space(read) => Ok(Json(SpaceSummary::new(*read))),
        Found::Erased => Err(erased(&space)),
        Found::Nothing => {
            Err(Problem::new(Refusal::NotFound, format!("nothing was ever pushed to the space {space}")))
        }
    }
}

enum Found {
    Space(Box<Read>),
    Erased,
    Nothing,
}

async fn read(pool: &PgPool, space: &SpaceId) -> sqlx::Result<Found> {
    let mut moment = one_moment(pool).await?;
    if erasures::contains(&mut moment, space).await? {
        return Ok(Found::Erased);
    }
    // The first id that begins with an id is that id.
    let found = spaces::search(&mut moment, space.as_str(), "", 1).await?;
    let Some(known) = found.into_iter().find(|known| known.log.space == *space) else {
        return Ok(Found::Nothing);
    };
    let read = Read {
        sizes: space_sizes::count(&mut moment, space).await?,
        snapshot: snapshots::at(&mut moment, space, known.log.horizon).await?,
        projection: projections::find(&mut moment, space).await?,
        rebuilding: rebuilds::is_filling(&mut moment, space).await?,
        merged_through: compactions::merged_through(&mut moment, space).await?,
        refusal: compactions::refusal(&mut moment, space).await?,
        devices: devices::latest(&mut moment, space, DEVICES_MAX as i64 + 1).await?,
        known,
    };
    moment.commit().await?;
    Ok(Found::Space(Box::new(read)))
}
