//! The pipeline from push to read model and archive: what waits at each stage, and how much passes.

mod answer;
mod parts;
mod rates;
mod sampler;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use sqlx::PgPool;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_store::backlogs::Backlog;

use crate::auth::AdminReader;
use crate::problem::Problem;

pub(crate) use sampler::{Measured, Sampled, sample};

use answer::{Away, Backlogs, PipelineAnswer, Rates};
use parts::{Part, part};

/// A part that has not answered by then counts as away.
const PART_TIMEOUT: Duration = Duration::from_secs(2);

/// How many refusals of each kind are counted, at most.
const COUNTED_MAX: i64 = 10_000;

/// What was found on the last walk over all spaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Swept {
    pub(crate) backlog: Backlog,
    /// When the walk ended.
    pub(crate) at: UtcTime,
}

/// How the pipeline stands
///
/// What waits at each stage, and how much passes through it. A stage that cannot be asked is null, and `away` says why: the
/// answer comes within seconds whatever is away. Rates are measured every `admin.sample_interval_ms`, `readModels` and
/// `compact.due` on walks over all spaces, a bounded number of them at a time.
#[utoipa::path(
    get,
    path = "/admin/v1/pipeline",
    tag = "pipeline",
    responses(
        (status = 200, description = "The pipeline", body = PipelineAnswer),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: the token has no admin scope", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`: also where the call could not be recorded", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn pipeline(
    _: AdminReader,
    State(pool): State<PgPool>,
    State(broker): State<Broker>,
    State(clock): State<Clock>,
    State(measured): State<Measured>,
) -> Json<PipelineAnswer> {
    let (push, log, refused) = tokio::join!(
        part(parts::push(&broker, &clock)),
        part(parts::log(&broker)),
        part(parts::refused(&pool)),
    );
    let mut away = Vec::new();
    let push = known(push, "push", &mut away);
    let (log, project) = known(log, "log", &mut away).unzip();
    if project.is_none() {
        away.push(Away::new("project", "as `log`"));
    }
    let (refusals, quarantine) = known(refused, "quarantine", &mut away).unzip();
    let swept = known(measured.swept(), "readModels", &mut away);
    if refusals.is_none() || swept.is_none() {
        away.push(Away::new("compact", "as `quarantine` and `readModels`"));
    }
    let (read_models, due) = swept.map(Backlogs::split).unzip();
    Json(PipelineAnswer {
        server_time: clock.now(),
        push,
        log,
        project,
        read_models,
        compact: refusals.zip(due).map(|(refusals, due)| refusals.with_due(due)),
        quarantine,
        rates: Rates::of(&measured.samples()),
        away,
    })
}

/// The part, or notes why it is not there.
fn known<T>(part: Part<T>, name: &'static str, away: &mut Vec<Away>) -> Option<T> {
    part.map_err(|reason| away.push(Away::new(name, reason))).ok()
}
