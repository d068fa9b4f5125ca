//! The routes of both listeners, and what every request passes through.

use std::sync::OnceLock;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use tidelog_events::code::Refusal;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::cors::{self, CorsConfig};
use crate::description::{self, Api};
use crate::problem::Problem;
use crate::requests::Requests;
use crate::server::note_route;
use crate::state::AppState;
use crate::{admin, devices, docs, entities, gate, live, own_devices, pull, push, schema};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidelog",
        description = "Push events, pull the log, read what it folds into. Errors are RFC 9457 problem details with a stable `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "log", description = "The log of a space"),
        (name = "devices", description = "A user's own devices"),
        (name = "entities", description = "What the events of a space fold into"),
        (name = "schema", description = "The app's schema")
    ),
)]
struct Description;

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(push::push_batch))
        .routes(routes!(push::push_batches))
        .routes(routes!(pull::pull_log))
        .routes(routes!(live::connect_live))
        .routes(routes!(devices::device_events))
        .routes(routes!(own_devices::list_devices))
        .routes(routes!(own_devices::change_device))
        .routes(routes!(entities::list_entities))
        .routes(routes!(entities::one_entity))
        .routes(routes!(schema::schema))
}

/// The public API's description, made from the handlers.
pub fn openapi() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| description::complete(&routes().split_for_parts().1, Api::Public))
}

/// The admin API's description.
pub fn admin_openapi() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| description::complete(&admin::routes().split_for_parts().1, Api::Admin))
}

/// The public API, and the admin API where it has no listener of its own.
pub(crate) fn public(state: AppState, with_admin: bool, cors: &CorsConfig) -> Router {
    let (mut router, _) = routes().split_for_parts();
    if with_admin {
        router = router.merge(admin::recorded(&state));
    }
    finish(router.route("/openapi.json", get(async || Json(openapi()))), state, cors::layer(cors))
}

/// The admin API alone.
pub(crate) fn admin(state: AppState) -> Router {
    let router = admin::recorded(&state);
    finish(router.route("/openapi.json", get(async || Json(admin_openapi()))), state, None)
}

/// What every request passes through.
fn finish(router: Router<AppState>, state: AppState, cors: Option<CorsLayer>) -> Router {
    let router = if state.config.docs { router.merge(docs::routes()) } else { router };
    let router = router
        .fallback(async || Problem::new(Refusal::NotFound, "there is no such path; see /openapi.json"))
        .method_not_allowed_fallback(async || {
            Problem::new(Refusal::MethodNotAllowed, "the path takes other methods; see /openapi.json")
        })
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(|_| {
            tracing::error!("a handler panicked");
            Problem::new(Refusal::Internal, "the service failed; its log has the cause").into_response()
        }))
        // Whatever reads a body bounds it itself: pushes by `limits.body_bytes`, the others by `server.small_body_bytes`.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(state.clone(), gate::pass));
    let router = match cors {
        // Around the gate: a page may read that it was refused, too.
        Some(cors) => router.layer(cors),
        None => router,
    };
    router.layer(from_fn(note_route)).layer(from_fn_with_state(Requests::new(), counted)).with_state(state)
}

/// Counts each request. Nothing of the answer is kept by whoever passes it on, unless the handler says otherwise.
async fn counted(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    let counted = requests.begin(&request);
    let mut response = next.run(request).await;
    counted.answered(response.status());
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apis_description_changes_only_where_somebody_looks() {
        insta::assert_json_snapshot!(openapi());
    }
}
