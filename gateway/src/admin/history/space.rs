//! The space that is asked about, and the position in it.

use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::id::{Position, SpaceId};
use tidelog_runtime::database::within;
use tidelog_store::spaces::Space;
use tidelog_store::{erasures, spaces};

use crate::problem::Problem;
use crate::pull::{READ_TIMEOUT, erased, one_moment};

/// The space as it is just now.
pub(super) async fn find_space(pool: &PgPool, space: &SpaceId) -> Result<Space, Problem> {
    let (is_erased, found) = within(READ_TIMEOUT, async {
        let mut moment = one_moment(pool).await?;
        Ok((erasures::contains(&mut moment, space).await?, spaces::find(&mut moment, space).await?))
    })
    .await?;
    if is_erased {
        return Err(erased(space));
    }
    found.ok_or_else(|| {
        Problem::new(Refusal::NotFound, format!("there is no space `{space}`: nothing was ever pushed to it"))
    })
}

/// The position that is asked about: the head where none is.
pub(super) fn position_at(at: Option<u64>, space: &Space) -> Result<Position, Problem> {
    let at = at.map_or(space.head, Position);
    if at > space.head {
        return Err(invalid(format!("`at` lies beyond the head of the space, {}", space.head)));
    }
    Ok(at)
}

/// A parameter that is not understood.
pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Refusal::RequestInvalid, detail)
}

/// More was asked for than one answer may hold; `detail` names the limit.
pub(super) fn too_large(detail: impl Into<String>) -> Problem {
    Problem::new(Refusal::ResultTooLarge, detail)
}
