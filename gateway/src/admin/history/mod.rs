//! What there ever was in a space: its events with filters, over log, archive and quarantine; its state at any position;
//! and why a field is as it is.

mod events;
mod explain;
mod reads;
mod scan;
mod space;
mod state;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::AppState;

pub use reads::HistoryReads;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(events::list_events))
        .routes(routes!(state::state_at))
        .routes(routes!(explain::explain_entity))
}
