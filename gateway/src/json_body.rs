//! Small JSON bodies: received whole, in time and within a bound, then read strictly.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use tidelog_events::code::Refusal;
use tokio::time::timeout;

use crate::config::GatewayConfig;
use crate::gate::Gate;
use crate::problem::Problem;

/// A body that is JSON.
pub(crate) struct JsonBody<T>(pub(crate) T);

/// A body that is JSON, or none at all.
pub(crate) struct OptionalJsonBody<T>(pub(crate) Option<T>);

async fn receive<S>(request: Request, state: &S) -> Result<Vec<u8>, Problem>
where
    Arc<GatewayConfig>: FromRef<S>,
    Gate: FromRef<S>,
{
    let media =
        request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default().to_owned());
    let config = Arc::<GatewayConfig>::from_ref(state);
    let most = Gate::from_ref(state).server.small_body_bytes;
    let body: Body = request.into_body();
    let received = timeout(config.body_timeout(), to_bytes(body, most)).await.map_err(|_| {
        let detail = format!("the body must arrive within {} ms", config.body_timeout_ms);
        Problem::new(Refusal::RequestTimeout, detail)
    })?;
    let body = received
        .map_err(|_| Problem::new(Refusal::BodyTooLarge, format!("this body has at most {most} bytes")))?;
    let essence = media.as_deref().map(|media| media.split(';').next().unwrap_or_default().trim());
    if !body.is_empty() && !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(Refusal::UnsupportedMediaType, "send application/json"));
    }
    Ok(body.into())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(Refusal::RequestInvalid, format!("the body: {error}")))
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T>
where
    Arc<GatewayConfig>: FromRef<S>,
    Gate: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        read(&receive(request, state).await?).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJsonBody<T>
where
    Arc<GatewayConfig>: FromRef<S>,
    Gate: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = receive(request, state).await?;
        if body.is_empty() { Ok(Self(None)) } else { read(&body).map(|body| Self(Some(body))) }
    }
}
