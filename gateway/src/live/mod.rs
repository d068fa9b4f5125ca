//! Live: a WebSocket over which a space's log comes as it grows, and pushes go up (docs/live.md). What is told by the broker
//! is sent at once; whatever was missed is read from the log.

mod connection;
mod mailbox;
mod presence;
mod push;
mod rooms;
mod sweep;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequestParts, Query, State};
use axum::response::Response;
use serde::Deserialize;
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, UserId};
use tidelog_events::live::LIVE_PROTOCOL;
use tidelog_events::schema::Schema;
use tidelog_runtime::metrics::Metric;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::auth::{Caller, SpaceReader};
use crate::config::LiveConfig;
use crate::device_facts::{self, ToldByDevice};
use crate::news::Newsroom;
use crate::problem::Problem;
use crate::pull::{PullParams, Tail, TailMeans};
use crate::push::Push;
use crate::rates::Rates;
use connection::Connection;
use rooms::Rooms;

/// The metrics of live connections.
pub(crate) const METRICS: &[Metric] = &[
    Metric::level("tidelog_gateway_live_connections", "Live connections"),
    Metric::counter(
        "tidelog_gateway_live_ended_total",
        "Live connections that ended, by reason; gone: the other end went",
    )
    .by(&[(
        "reason",
        &[
            "gone",
            "going-away",
            "message-too-large",
            "slow-reader",
            "log-replaced",
            "unauthorized",
            "request-invalid",
            "device-revoked",
            "space-erased",
            "overloaded",
            "internal",
        ],
    )]),
    Metric::counter(
        "tidelog_gateway_live_log_messages_total",
        "Messages of the log that were sent to live connections",
    ),
];

/// Bytes that a connection reads at once: what devices say is short.
const READ_BUFFER_BYTES: usize = 2048;

/// What live connections draw on.
pub(crate) struct Live {
    pool: PgPool,
    config: LiveConfig,
    push: Push,
    rates: Rates,
    rooms: Rooms,
    room: Arc<Semaphore>,
    /// Connections by user.
    users: Mutex<HashMap<UserId, usize>>,
    /// Turns to hold a piece of the log.
    pieces: Semaphore,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Live {
    /// Ready for connections, all of which end after `shutdown`.
    pub(crate) fn start(
        pool: PgPool,
        newsroom: Newsroom,
        push: Push,
        rates: Rates,
        config: LiveConfig,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        let sweep_every = Duration::from_secs(config.sweep_seconds);
        let live = Arc::new(Self {
            rooms: Rooms::new(newsroom, push.broker.clone(), push.codecs.clone(), sweep_every),
            users: Mutex::default(),
            pieces: Semaphore::new(config.pieces.min(Semaphore::MAX_PERMITS)),
            rates,
            room: Arc::new(Semaphore::new(config.connections.min(Semaphore::MAX_PERMITS))),
            tasks: TaskTracker::new(),
            pool,
            config,
            push,
            shutdown,
        });
        tokio::spawn(sweep::run(live.clone()));
        live
    }

    /// Something about a user's device has changed: if it was revoked, its connections end.
    pub(crate) fn device_changed(self: &Arc<Self>, user: &UserId, device: &DeviceId) {
        let (live, user, device) = (self.clone(), user.clone(), device.clone());
        tokio::spawn(async move {
            let checked = live.push.revocations.check(&user, &device).await;
            if checked.is_err_and(|problem| problem.code == Refusal::DeviceRevoked) {
                live.rooms.close_device(&user, &device);
            }
        });
    }

    /// Waits until all connections have ended. To be called after the shutdown began.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn means<'a>(&'a self, schema: &'a Schema) -> TailMeans<'a> {
        TailMeans { pool: &self.pool, codecs: &self.push.codecs, schema }
    }

    /// A place for one more connection of a user. Backends speak for many.
    fn take_place(self: &Arc<Self>, caller: &Caller) -> Result<Seat, Problem> {
        let full = |what: String| Problem::new(Refusal::Overloaded, what);
        let room = self.room.clone().try_acquire_owned().map_err(|_| {
            full(format!("the gateway has {} live connections already", self.config.connections))
        })?;
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let of_user = users.entry(caller.user.clone()).or_default();
        if *of_user >= self.config.connections_per_user && !caller.is_trusted() {
            let most = self.config.connections_per_user;
            return Err(full(format!("the user has {most} live connections to this gateway already")));
        }
        *of_user += 1;
        Ok(Seat { live: self.clone(), user: caller.user.clone(), _room: room })
    }
}

/// A connection's place among all, free again when this is dropped.
struct Seat {
    live: Arc<Live>,
    user: UserId,
    _room: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut users = self.live.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_user) = users.get_mut(&self.user) {
            *of_user -= 1;
            if *of_user == 0 {
                users.remove(&self.user);
            }
        }
    }
}

/// How the log is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LiveFormat {
    /// Binary messages of zstd frames, as they are stored.
    #[default]
    Frames,
    /// Text messages.
    Lines,
}

/// The query of a live connection.
#[derive(Debug, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveParams {
    /// The last position that the device has; 0 for none.
    #[serde(default)]
    #[param(default = 0)]
    after: u64,
    /// The calling device: the hello tells what the server has of it.
    device_id: Option<String>,
    /// Entity types, separated by commas: only their events are sent, and only their entities of a snapshot.
    #[param(example = "workout")]
    types: Option<String>,
    /// How the log is sent.
    #[serde(default)]
    #[param(inline, default = "frames")]
    format: LiveFormat,
    /// The app's version, where the header `Tidelog-Client-Version` cannot be sent.
    client_version: Option<String>,
}

/// Connect live
///
/// Upgrades to a WebSocket (subprotocol `tidelog.v1`) over which the log comes as it grows: the hello, what lies behind
/// `after`, then each segment as it is committed; pushes go up over it, and presences both ways. Browsers pass the token
/// as a second subprotocol `bearer.<JWT>`. docs/live.md describes the messages and the close codes.
#[utoipa::path(
    get,
    path = "/v1/spaces/{space}/live",
    tag = "log",
    params(("space" = String, Path, description = "The space; `me` is the token's own"), LiveParams),
    responses(
        (status = 101, description = "Connected. The messages are described in docs/live.md"),
        (status = 400, description = "`request-invalid`: also a request that is no WebSocket handshake", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`, `device-revoked`", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn connect_live(
    reader: SpaceReader,
    params: LiveParams,
    mut told: ToldByDevice,
    State(live): State<Arc<Live>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let as_lines = params.format == LiveFormat::Lines;
    told.app_version = told.app_version.or(params.client_version);
    let params = PullParams::of_live(params.after, params.device_id, params.types)?;
    let (limits, schema) = (&live.push.limits, live.push.schema.get());
    let space = reader.space.clone();
    let mut tail = Tail::new(space, params, as_lines, live.config.read_bytes, (limits, &schema))?;
    tail.act_as(&reader.caller)?;
    live.push.revocations.admit(&reader.caller, &reader.caller.user, tail.device()).await?;
    let upgrade = upgrade.map_err(|error| Problem::new(Refusal::RequestInvalid, error.body_text()))?;
    let seat = live.take_place(&reader.caller)?;
    if let Some(report) = &mut told.report {
        device_facts::count_syncs(report);
    }
    let connection_bytes = live.config.message_bytes;
    let upgrade = upgrade
        .protocols([LIVE_PROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(connection_bytes)
        .max_frame_size(connection_bytes);
    Ok(upgrade.on_upgrade(async move |socket| {
        let entered = live.rooms.enter(&reader.space, &reader.caller.user, tail.device());
        let now = Instant::now();
        let first_ping = Duration::from_millis(fastrand::u64(1..=live.config.ping_seconds * 1000));
        let connection = Connection {
            reader,
            as_lines,
            sent: tail.cursor(),
            snapshot: None,
            is_behind: false,
            tail,
            place: entered,
            socket,
            told,
            id: Uuid::new_v4().simple().to_string(),
            pushes: 0,
            push_room: Arc::new(Semaphore::new(live.config.pushes)),
            heard_at: now,
            // Not all at once where all have come at once.
            ping_at: now + first_ping,
            hinted: None,
            showing: None,
            show_at: now,
            leave_at: None,
            live: live.clone(),
        };
        metrics::gauge!("tidelog_gateway_live_connections").increment(1.0);
        live.tasks.track_future(Box::pin(connection.run())).await;
        metrics::gauge!("tidelog_gateway_live_connections").decrement(1.0);
        drop(seat);
    }))
}
