//! `/docs`: a page to read and try the API of the listener that it is on. All of it is built into the gateway: the page
//! loads nothing from anywhere else, and speaks to nobody else.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, header::HeaderName};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tidelog_events::code::Refusal;
use utoipa_swagger_ui::Config;

use crate::problem::Problem;
use crate::state::AppState;

/// The files that the page consists of; the package has others.
const FILES: [&str; 8] = [
    "index.html",
    "index.css",
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-initializer.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
];

/// Nothing from elsewhere, nothing inline but styles (the page sets them itself), in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The routes of the page.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async || file("index.html")))
        .route("/docs/{file}", get(async |Path(name): Path<String>| file(&name)))
}

fn file(name: &str) -> Response {
    let found = FILES.contains(&name).then(|| utoipa_swagger_ui::serve(name, config()));
    match found {
        Some(Ok(Some(file))) => {
            let mut response = file.bytes.into_owned().into_response();
            let headers = response.headers_mut();
            if let Ok(content_type) = HeaderValue::from_str(&file.content_type) {
                headers.insert(CONTENT_TYPE, content_type);
            }
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
            response
        }
        Some(Err(error)) => {
            tracing::error!(%error, "a file of /docs cannot be served");
            Problem::new(Refusal::Internal, "the service failed; its log has the cause").into_response()
        }
        _ => Problem::new(Refusal::NotFound, "the page has no such file; see /docs/").into_response(),
    }
}

/// The listener's own description, and no check of it by anyone on the internet.
fn config() -> Arc<Config<'static>> {
    static CONFIG: OnceLock<Arc<Config<'static>>> = OnceLock::new();
    let config = || Config::from("/openapi.json").validator_url("none").query_config_enabled(false);
    CONFIG.get_or_init(|| Arc::new(config())).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_there_and_the_page_asks_for_no_other() {
        for name in FILES {
            let found = utoipa_swagger_ui::serve(name, config()).unwrap();
            assert!(found.is_some_and(|file| !file.bytes.is_empty()), "{name}");
        }
        let page = utoipa_swagger_ui::serve("index.html", config()).unwrap().unwrap();
        let page = String::from_utf8(page.bytes.into_owned()).unwrap();
        let asked = ["href=\"", "src=\""].into_iter().flat_map(|attribute| page.split(attribute).skip(1));
        let asked: Vec<_> = asked.filter_map(|rest| rest.split('"').next()).collect();
        assert!(asked.len() > 5, "{asked:?}");
        for name in asked {
            assert!(FILES.contains(&name.trim_start_matches("./")), "{name}");
        }
    }
}
