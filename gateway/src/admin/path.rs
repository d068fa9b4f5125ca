//! The space in the path of an admin call.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tidelog_events::code::Refusal;
use tidelog_events::id::SpaceId;

use crate::auth::path_param;
use crate::problem::Problem;

/// The space. `me` is nobody here: it is a space of that name.
pub(crate) struct SpaceOfPath(pub(crate) SpaceId);

impl<S: Send + Sync> FromRequestParts<S> for SpaceOfPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let invalid =
            |error| Problem::new(Refusal::RequestInvalid, format!("the space in the path: {error}"));
        SpaceId::new(path_param(parts, state, "space").await?).map(Self).map_err(invalid)
    }
}
