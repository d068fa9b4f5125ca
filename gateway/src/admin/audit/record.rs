//! Records each call of the admin API before it is carried out: what cannot be recorded is not done, and nobody learns
//! anything from it.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, Query, RawPathParams, Request, State};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{Extensions, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::id::SpaceId;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::database::within;
use tidelog_store::admin_audit::{self, AuditedCall, Place};
use uuid::{Timestamp, Uuid};

use super::action::action;
use crate::admin::quarantine::EntryId;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::server::ClientAddress;
use crate::state::AppState;

/// A call that cannot be recorded by then is refused.
const RECORD_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer waits until its status is noted, at most.
const NOTE_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes that are kept of the path, and of the query.
const PATH_BYTES_MAX: usize = 1024;
/// Bytes that are kept of what the caller says of itself: scope and user agent.
const WORDS_BYTES_MAX: usize = 256;

/// Records the call, has it carried out, and notes the status of its answer. Who has no valid token is turned away here:
/// nobody is known who could be recorded.
pub(crate) async fn record(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let caller = match Caller::from_request_parts(&mut parts, &state).await {
        Ok(caller) => caller,
        Err(problem) => {
            count("unknown-caller");
            return problem.into_response();
        }
    };
    let call = describe(&mut parts, caller, state.clock.now()).await;
    if let Err(error) = within(RECORD_TIMEOUT, insert(&state.pool, &call)).await {
        count("unrecorded");
        tracing::error!(error = &error as &dyn std::error::Error, "an admin call could not be recorded");
        return Problem::new(
            Refusal::Overloaded,
            "the call cannot be recorded just now, so it is not answered",
        )
        .into_response();
    }
    count("recorded");
    let response = next.run(Request::from_parts(parts, body)).await;
    if let Err(error) = within(NOTE_TIMEOUT, note(&state.pool, &call, response.status())).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the status of an admin call was not noted");
    }
    response
}

fn count(outcome: &'static str) {
    metrics::counter!("tidelog_gateway_admin_calls_total", "outcome" => outcome).increment(1);
}

async fn insert(pool: &PgPool, call: &AuditedCall) -> sqlx::Result<()> {
    admin_audit::insert(&mut *pool.acquire().await?, call).await
}

async fn note(pool: &PgPool, call: &AuditedCall, status: StatusCode) -> sqlx::Result<()> {
    let place = Place { at: call.at, id: call.id };
    admin_audit::answered(&mut *pool.acquire().await?, &call.space, place, status.as_u16()).await
}

async fn describe(parts: &mut Parts, caller: Caller, now: UtcTime) -> AuditedCall {
    let template = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let user_agent = parts.headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    AuditedCall {
        id: id_of(now),
        at: now,
        actor: caller.user.to_string(),
        scope: kept(&caller.scope, WORDS_BYTES_MAX),
        action: action(&parts.method, template),
        method: kept(parts.method.as_str(), WORDS_BYTES_MAX),
        path: kept(parts.uri.path(), PATH_BYTES_MAX),
        query: kept(parts.uri.query().unwrap_or_default(), PATH_BYTES_MAX),
        status: None,
        remote_address: remote_address(&parts.extensions).map(|address| address.to_string()),
        user_agent: user_agent.map(|text| kept(&text, WORDS_BYTES_MAX)),
        space: named_space(parts).await.unwrap_or_default(),
    }
}

/// A UUID v7 of that time.
fn id_of(now: UtcTime) -> Uuid {
    let seconds = now.0.div_euclid(1000).try_into().unwrap_or_default();
    let nanoseconds = now.0.rem_euclid(1000) as u32 * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix_time(seconds, nanoseconds, 0, 0))
}

/// The text's first bytes, without what PostgreSQL does not take.
fn kept(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].replace('\0', "")
}

/// Where the call comes from, as the gate in front has found out.
fn remote_address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ClientAddress>().map(|ClientAddress(address)| address.to_canonical())
}

/// The space that the path names, itself or by an entry of quarantine, or the query.
async fn named_space(parts: &mut Parts) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, &()).await.ok();
    let in_path = params.iter().flatten().find_map(|(name, value)| match name {
        "space" => Some(value.to_owned()),
        // Other ids are no entry's: nothing else is written so.
        "id" => EntryId::parse(value).map(EntryId::into_space),
        _ => None,
    });
    let in_query = || {
        let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).ok()?;
        query.into_iter().find(|(name, _)| name == "space").map(|(_, space)| space)
    };
    in_path.or_else(in_query).filter(|space| SpaceId::is_valid(space))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_text_is_bounded_and_can_be_stored() {
        assert_eq!(kept("abc", 3), "abc");
        assert_eq!(kept("abcd", 3), "abc");
        assert_eq!(kept("aä", 2), "a", "no character is cut in half");
        assert_eq!(kept("a\0b", 8), "ab");
    }

    #[test]
    fn a_call_comes_from_where_the_gate_says() {
        let mut extensions = Extensions::new();
        assert_eq!(remote_address(&extensions), None);
        extensions.insert(ClientAddress("::ffff:192.0.2.1".parse().unwrap()));
        assert_eq!(remote_address(&extensions), "192.0.2.1".parse().ok());
    }

    #[test]
    fn the_id_of_a_call_tells_its_time() {
        let id = id_of(UtcTime(1_754_476_200_123));
        let (seconds, nanoseconds) = id.get_timestamp().unwrap().to_unix();
        assert_eq!((id.get_version_num(), seconds, nanoseconds), (7, 1_754_476_200, 123_000_000));
        assert_ne!(id, id_of(UtcTime(1_754_476_200_123)));
        assert_eq!(id_of(UtcTime(-1)).get_version_num(), 7);
    }
}
