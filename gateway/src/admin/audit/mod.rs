//! Who has called what over the admin API: every call of somebody known is recorded before it is carried out
//! (invariant 7), can be read here, and is forgotten when it is old.

mod action;
mod forget;
mod record;

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::database::within;
use tidelog_runtime::metrics::Metric;
use tidelog_store::admin_audit::{self, AuditedCall, Page, Place, Wanted};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::page::{PageCursor, page_limit};
use crate::auth::AdminReader;
use crate::problem::Problem;
use crate::pull::READ_TIMEOUT;

pub(crate) use forget::forget;
pub(crate) use record::record;

/// The metrics of the audit.
pub(crate) const METRICS: &[Metric] =
    &[Metric::counter("tidelog_gateway_admin_calls_total", "Calls of the admin API; unknown-caller: without a valid token; unrecorded: refused, since the audit could not be written").by(&[("outcome", &["recorded", "unknown-caller", "unrecorded"])])];

/// Calls of a page when the caller does not say.
const DEFAULT_CALLS: usize = 100;
/// Calls of a page, at most.
const CALLS_MAX: usize = 1000;

/// A text to compare with: of any form, since what no call has is found nowhere.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
struct Text(String);

impl From<String> for Text {
    fn from(text: String) -> Self {
        // PostgreSQL has no such character in a text, not even to compare with.
        Self(text.replace('\0', "\u{FFFD}"))
    }
}

impl Text {
    fn as_str(&self) -> &str {
        &self.0
    }
}

/// The query.
#[derive(Debug, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditParams {
    /// Only calls of this user: the `sub` of their token.
    #[param(value_type = Option<String>, example = "support-ann")]
    actor: Option<Text>,
    /// Only calls that name this space; empty: those that name none.
    #[param(value_type = Option<String>, example = "user-1")]
    space: Option<Text>,
    /// Only calls of this action.
    #[param(value_type = Option<String>, example = "events.read")]
    action: Option<Text>,
    /// Only calls from this time on.
    #[param(value_type = Option<String>, format = "date-time", example = "2026-11-01T00:00:00Z")]
    from: Option<UtcTime>,
    /// Only calls before this time.
    #[param(value_type = Option<String>, format = "date-time", example = "2026-12-01T00:00:00Z")]
    to: Option<UtcTime>,
    /// Calls of a page; more than 1000 are lowered to that.
    #[param(default = 100, minimum = 1)]
    limit: Option<u64>,
    /// The `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<PageCursor<(UtcTime, Uuid)>>,
}

/// Calls of the admin API, the latest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// The calls. A page may have fewer than `limit` although there are more: only that many are looked at.
    items: Vec<AuditEntry>,
    /// The `cursor` of the next page; null with the last one.
    #[schema(value_type = Option<String>)]
    next: Option<PageCursor<(UtcTime, Uuid)>>,
}

/// A call of the admin API.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditEntry {
    /// Its id, a UUID v7.
    id: Uuid,
    /// When it was made.
    at: UtcTime,
    /// Who made it: the `sub` of the token.
    #[schema(example = "support-ann")]
    actor: String,
    /// The token's scope.
    #[schema(example = "admin:read")]
    scope: String,
    /// What was called, by a name that stays.
    #[schema(example = "events.read")]
    action: String,
    /// The HTTP method.
    #[schema(example = "GET")]
    method: String,
    /// The path, the first 1024 bytes.
    #[schema(example = "/admin/v1/spaces/user-1/events")]
    path: String,
    /// The query, the first 1024 bytes; empty where there was none.
    #[schema(example = "limit=100")]
    query: String,
    /// The space that path or query name; null where they name none.
    #[schema(example = "user-1")]
    space: Option<String>,
    /// The answer's status. Null: there was none, since the caller did not wait for it, or the gateway ended; or it
    /// could not be noted.
    #[schema(example = 200)]
    status: Option<u16>,
    /// Where the call came from; null where that is not known.
    #[schema(example = "203.0.113.7")]
    remote_address: Option<String>,
    /// What made the call, by its own account; the first 256 bytes.
    #[schema(example = "curl/8.14.1")]
    user_agent: Option<String>,
}

impl From<AuditedCall> for AuditEntry {
    fn from(call: AuditedCall) -> Self {
        let AuditedCall {
            id,
            at,
            actor,
            scope,
            action,
            method,
            path,
            query,
            space,
            status,
            remote_address,
            user_agent,
        } = call;
        let space = (!space.is_empty()).then_some(space);
        Self { id, at, actor, scope, action, method, path, query, space, status, remote_address, user_agent }
    }
}

impl From<Page> for AuditPage {
    fn from(page: Page) -> Self {
        Self {
            items: page.calls.into_iter().map(AuditEntry::from).collect(),
            next: page.next.map(|place| PageCursor((place.at, place.id))),
        }
    }
}

/// Who called what
///
/// Calls of the admin API, this one included, the latest first: who made them, when, from where, and what was answered. Calls
/// without a valid token are not among them, since nobody is known to have made them. They are kept for `admin.audit_days`.
#[utoipa::path(
    get,
    path = "/admin/v1/audit",
    tag = "audit",
    params(AuditParams),
    responses(
        (status = 200, description = "A page", body = AuditPage),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: the token has no admin scope", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`: also where the call could not be recorded", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn list_audit(
    _: AdminReader,
    params: AuditParams,
    State(pool): State<PgPool>,
) -> Result<Json<AuditPage>, Problem> {
    let limit = page_limit(params.limit, DEFAULT_CALLS, CALLS_MAX)?;
    let wanted = Wanted {
        space: params.space.as_ref().map(Text::as_str),
        actor: params.actor.as_ref().map(Text::as_str),
        action: params.action.as_ref().map(Text::as_str),
        from: params.from,
        to: params.to,
        before: params.cursor.map(|PageCursor((at, id))| Place { at, id }),
    };
    let read = async { admin_audit::list(&mut *pool.acquire().await?, &wanted, limit).await };
    Ok(Json(within(READ_TIMEOUT, read).await?.into()))
}
