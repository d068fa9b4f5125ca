//! The routes of the public API, and what every request passes through.

use std::sync::OnceLock;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use tidelog_events::code::Refusal;
use tidelog_runtime::telemetry;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tracing::Instrument;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::AdminReader;
use crate::problem::Problem;
use crate::state::AppState;
use crate::{devices, entities, pull, push, schema};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidelog",
        description = "Push events, pull the log, read what it folds into. Errors are RFC 9457 problem details with a stable `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "log", description = "The log of a space"),
        (name = "entities", description = "What the events of a space fold into"),
        (name = "schema", description = "The app's schema")
    ),
    modifiers(&TokenScheme)
)]
struct Api;

struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(push::push_batch))
        .routes(routes!(pull::pull_log))
        .routes(routes!(devices::device_events))
        .routes(routes!(entities::list_entities))
        .routes(routes!(entities::one_entity))
        .routes(routes!(schema::schema))
}

/// The API's description, made from the handlers.
pub fn openapi() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| routes().split_for_parts().1)
}

/// The public API.
pub fn router(state: AppState) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .route("/openapi.json", get(async || Json(openapi())))
        // Nobody learns what there is before it is clear that they may look.
        .route(
            "/admin/v1/{*path}",
            any(async |_: AdminReader| {
                Problem::new(Refusal::NotFound, "the admin interface has no such path")
            }),
        )
        .fallback(async || Problem::new(Refusal::NotFound, "there is no such path; see /openapi.json"))
        .method_not_allowed_fallback(async || {
            Problem::new(Refusal::MethodNotAllowed, "the path takes other methods; see /openapi.json")
        })
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(|_| {
            tracing::error!("a handler panicked");
            Problem::new(Refusal::Internal, "the service failed; its log has the cause").into_response()
        }))
        // Handlers bound their bodies themselves, with an answer that names the limit.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(trace))
        .with_state(state)
}

/// Gives each request a span, a child of the caller's if it sends W3C trace context.
async fn trace(request: Request, next: Next) -> Response {
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        path = request.uri().path(),
        trace_id = tracing::field::Empty
    );
    telemetry::set_parent_from_http(&span, request.headers());
    async move {
        let mut response = next.run(request).await;
        tracing::debug!(status = response.status().as_u16(), "answered");
        response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }
    .instrument(span)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apis_description_changes_only_where_somebody_looks() {
        insta::assert_json_snapshot!(openapi());
    }
}
