//! The admin API: what support and developers see of any space, and the few things that they may do. On a listener of
//! its own, unless `admin.listen` is empty; every call is audited.

mod audit;
pub(crate) mod devices;
mod history;
mod page;
mod path;
mod pipeline;
pub(crate) mod quarantine;
mod space;
mod spaces;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use tidelog_events::code::Refusal;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use history::HistoryReads;

use crate::auth::AdminReader;
use crate::problem::Problem;
use crate::state::AppState;

pub(crate) use audit::{METRICS, forget};
pub(crate) use page::page_limit;
pub(crate) use pipeline::{Measured, Sampled, sample};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidelog admin",
        description = "Every event of every space, and why the state is what it is. Tokens need the scope `admin:read` to \
            look, `admin` to act. Every call is audited. Errors are RFC 9457 problem details with a stable `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "spaces", description = "Spaces, and one of them"),
        (name = "history", description = "Every event, the state at any position, and why a value is what it is"),
        (name = "pipeline", description = "What waits where on the way from push to read model and archive"),
        (name = "audit", description = "Who has called what over this API"),
        (name = "devices", description = "Devices: who is behind, and why"),
        (name = "quarantine", description = "What the log could not take")
    ),
)]
struct Api;

/// The admin API with its description.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(spaces::list_spaces))
        .routes(routes!(space::look_at_space))
        .routes(routes!(pipeline::pipeline))
        .routes(routes!(audit::list_audit))
        .merge(history::routes())
        .routes(routes!(devices::list::list_devices))
        .routes(routes!(devices::revoke::revoke_device))
        .routes(routes!(devices::revoke::restore_device))
        .routes(routes!(quarantine::list::list_quarantine))
        .routes(routes!(quarantine::act::release_event))
        .routes(routes!(quarantine::act::dismiss_entry))
        // Nobody learns what there is before it is clear that they may look.
        .route("/admin/v1/{*path}", any(no_such_path))
}

/// The admin API as it is served: each call is recorded before it is carried out, those included that are refused.
pub(crate) fn recorded(state: &AppState) -> Router<AppState> {
    let (router, _) = routes().split_for_parts();
    router.method_not_allowed_fallback(no_such_method).layer(from_fn_with_state(state.clone(), audit::record))
}

async fn no_such_method(_: AdminReader) -> Problem {
    Problem::new(Refusal::MethodNotAllowed, "the path takes other methods; see /openapi.json")
}

async fn no_such_path(_: AdminReader) -> Problem {
    Problem::new(Refusal::NotFound, "the admin interface has no such path; see /openapi.json")
}
