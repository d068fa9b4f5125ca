//! What a pull asks for, read and checked once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, Position};
use tidelog_events::limits::{DEFAULT_PULL_EVENTS, MAX_SAFE_INTEGER};
use tidelog_events::schema::Schema;
use tidelog_runtime::config::LimitsConfig;
use utoipa::IntoParams;

use super::negotiate::Format;
use crate::problem::Problem;
use crate::schema::CurrentSchema;

/// The query of a pull.
#[derive(Debug, Default, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PullParams {
    /// The last position that the reader has; 0 for none.
    #[serde(default)]
    #[param(default = 0)]
    after: u64,
    /// Events of the answer, at most, those not counted that a snapshot stands for; clamped to the server's limit.
    /// Frames are whole segments, at least one.
    #[param(default = 1000, example = 100)]
    limit: Option<u64>,
    /// Seconds to wait for news if there is none; clamped to the server's limit.
    #[serde(default)]
    #[param(default = 0, example = 20)]
    wait: u64,
    /// The calling device: the answer tells what the server has of it.
    #[param(value_type = Option<String>)]
    device_id: Option<DeviceId>,
    /// Entity types, separated by commas: only their events are sent, and only their entities of a snapshot. `cursor`
    /// passes over the others.
    #[param(example = "workout")]
    types: Option<String>,
}

impl PullParams {
    /// What a live connection asks for, as a pull would.
    pub(crate) fn of_live(
        after: u64,
        device_id: Option<String>,
        types: Option<String>,
    ) -> Result<Self, Problem> {
        let device_id = device_id.map(DeviceId::new).transpose();
        let device_id = device_id.map_err(|error| invalid(format!("`deviceId`: {error}")))?;
        Ok(Self { after, limit: None, wait: 0, device_id, types })
    }
}

/// A pull that can be answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PullRequest {
    /// The last position that the reader has.
    pub(super) after: Position,
    /// Events of the answer, at least 1.
    pub(super) limit: u64,
    /// How long to wait for news.
    pub(super) wait: Duration,
    /// The calling device.
    pub(super) device: Option<DeviceId>,
    /// The entity types that are asked for; `None` for all.
    pub(super) types: Option<BTreeSet<String>>,
    /// The form of the answer.
    pub(super) format: Format,
}

impl PullRequest {
    /// What is asked for as frames or as lines, for as long as the reader is there.
    pub(super) fn endless(
        params: PullParams,
        as_lines: bool,
        limits: &LimitsConfig,
        schema: &Schema,
    ) -> Result<Self, Problem> {
        let format = if as_lines { Format::Lines } else { Format::Frames };
        Self::check(params, format, limits, schema)
    }

    fn check(
        params: PullParams,
        format: Format,
        limits: &LimitsConfig,
        schema: &Schema,
    ) -> Result<Self, Problem> {
        for (name, number) in
            [("after", Some(params.after)), ("limit", params.limit), ("wait", Some(params.wait))]
        {
            if number.is_some_and(|number| number > MAX_SAFE_INTEGER) {
                return Err(invalid(format!("`{name}` is at most {MAX_SAFE_INTEGER}")));
            }
        }
        let device = params.device_id.map(DeviceId::refuse_reserved).transpose();
        Ok(Self {
            after: Position(params.after),
            limit: params.limit.unwrap_or(DEFAULT_PULL_EVENTS).clamp(1, limits.pull_events),
            wait: Duration::from_secs(params.wait.min(limits.wait_seconds)),
            device: device.map_err(|error| invalid(format!("`deviceId`: {error}")))?,
            types: params.types.map(|types| entity_types(&types, schema)).transpose()?,
            format,
        })
    }
}

fn entity_types(types: &str, schema: &Schema) -> Result<BTreeSet<String>, Problem> {
    let known = |name: &str| match schema.entity(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err(invalid(format!(
            "`types`: schema version {} has no entity type `{}`",
            schema.version(),
            name.chars().take(60).collect::<String>()
        ))),
    };
    types.split(',').map(str::trim).map(known).collect()
}

fn invalid(detail: String) -> Problem {
    Problem::new(Refusal::RequestInvalid, detail)
}

impl<S: Send + Sync> FromRequestParts<S> for PullRequest
where
    CurrentSchema: FromRef<S>,
    Arc<LimitsConfig>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = PullParams::from_request_parts(parts, state).await?;
        let format = Format::of(&parts.headers)?;
        let (limits, schema) = (Arc::<LimitsConfig>::from_ref(state), CurrentSchema::from_ref(state).get());
        Self::check(params, format, &limits, &schema)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::pull::testing::{limits, schema};

    async fn parse(query: &str) -> Result<PullRequest, Problem> {
        let request = Request::builder().uri(format!("/?{query}")).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        let params = PullParams::from_request_parts(&mut parts, &()).await?;
        PullRequest::check(params, Format::Json, &limits(), &schema())
    }

    #[tokio::test]
    async fn what_is_left_out_has_its_default() {
        let expect = PullRequest {
            after: Position::ZERO,
            limit: 1000,
            wait: Duration::ZERO,
            device: None,
            types: None,
            format: Format::Json,
        };
        assert_eq!(parse("").await.unwrap(), expect);
    }

    #[tokio::test]
    async fn numbers_are_clamped_to_the_limits() {
        let request = parse("after=7&limit=99999&wait=99&deviceId=phone-1&types=workout").await.unwrap();
        assert_eq!((request.after, request.limit, request.wait.as_secs()), (Position(7), 10_000, 60));
        assert_eq!(request.device, Some(DeviceId::new("phone-1").unwrap()));
        assert_eq!(request.types, Some(BTreeSet::from(["workout".to_owned()])));
        assert_eq!(parse("limit=0").await.unwrap().limit, 1);
    }

    #[tokio::test]
    async fn what_is_not_understood_is_refused_by_its_name() {
        let cases = [
            ("after=-1", "after"),
            ("after=x", "after"),
            ("after=1.5", "after"),
            ("after=9007199254740992", "after"),
            ("after=1&after=2", "after"),
            ("limit=9007199254740992", "limit"),
            ("wait=9007199254740992", "wait"),
            ("limit=-5", "limit"),
            ("limit=ten", "limit"),
            ("wait=soon", "wait"),
            ("deviceId=", "deviceId"),
            ("deviceId=a%00b", "deviceId"),
            ("deviceId=event:018f4f7e-0000-7000-8000-000000000001", "deviceId"),
            ("types=", "types"),
            ("types=workout,ghost", "ghost"),
            ("afterr=1", "afterr"),
        ];
        for (query, named) in cases {
            let problem = parse(query).await.unwrap_err();
            assert_eq!(problem.code, Refusal::RequestInvalid, "{query}");
            let text = serde_json::to_string(&problem).unwrap();
            assert!(text.contains(named), "{query}: {text}");
        }
    }
}
