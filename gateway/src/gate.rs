//! What every request passes before its route, in this order and before anything of its body is read: how long its path is,
//! who calls and from where, how old their app is, how often they call, and whether their device is revoked.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tidelog_events::code::Refusal;
use tidelog_runtime::config::LimitsConfig;
use tokio::time::timeout;

use crate::auth::{self, Caller};
use crate::client_version;
use crate::config::GatewayConfig;
use crate::problem::Problem;
use crate::rates::{Bearer, Rates};
use crate::server::{PeerAddress, ServerConfig};
use crate::state::AppState;

/// What the gate judges by. Clones share it.
#[derive(Clone)]
pub struct Gate {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) rates: Rates,
}

/// Lets a request in, or refuses it.
pub(crate) async fn pass(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match judge(&mut parts, &state).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => {
            discard_later(body, &state.limits, &state.config);
            refusal.into_response()
        }
    }
}

async fn judge(parts: &mut Parts, state: &AppState) -> Result<(), Problem> {
    let Gate { server, rates } = &state.gate;
    let bytes = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    if bytes > server.uri_bytes {
        let detail = format!("a path and its query have at most {} bytes", server.uri_bytes);
        return Err(Problem::new(Refusal::RequestInvalid, detail));
    }
    let least = state.config.min_client_version.as_ref();
    client_version::check(least, &parts.uri, &parts.headers)?;
    // Without a server of ours below there is no peer: nobody comes in so.
    let Some(PeerAddress(peer)) = parts.extensions.get().copied() else {
        return Err(Problem::new(Refusal::Internal, "the request comes from nowhere"));
    };
    let client = server.trusted_proxies.caller(peer, server.forwarded_header, &parts.headers);
    parts.extensions.insert(client);
    if auth::bearer(&parts.headers).is_none() {
        return rates.admit(client, &Bearer::Nobody);
    }
    rates.begin_verification(client)?;
    match Caller::from_request_parts(parts, state).await {
        Ok(caller) => {
            if caller.is_trusted() {
                rates.refund_verification(client);
            }
            rates.admit(client, &Bearer::Known(&caller))?;
            admit_device(parts, state, &caller).await
        }
        // The route says so, if it asks who calls.
        Err(_) => rates.admit(client, &Bearer::Unknown),
    }
}

/// A token that is bound to a revoked device opens nothing at all.
async fn admit_device(parts: &Parts, state: &AppState, caller: &Caller) -> Result<(), Problem> {
    let Some(device) = &caller.device else { return Ok(()) };
    let is_push = parts.method == Method::POST && parts.uri.path().starts_with("/v1/");
    if is_push {
        state.revocations.check_push(&caller.user, device).await
    } else {
        state.revocations.check(&caller.user, device).await
    }
}

/// Reads a refused request's body in the background without keeping anything, as long as it may take: a caller that is still
/// sending when the connection closes would see a broken pipe instead of the refusal.
pub(crate) fn discard_later(body: Body, limits: &LimitsConfig, config: &GatewayConfig) {
    let (most, patience) = (limits.body_bytes, config.body_timeout());
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(async move {
        drop(timeout(patience, discard(body.into_data_stream(), most)).await);
    });
}

/// Reads on without keeping anything, within a bound.
pub(crate) async fn discard(mut chunks: BodyDataStream, most: u64) {
    let mut bytes = 0;
    while let Some(Ok(chunk)) = chunks.next().await {
        bytes += chunk.len() as u64;
        if bytes > most {
            return;
        }
    }
}
