//! One installation of Tidelog: migrated, with a gateway and as many ingests, projectors and compactors as a test asks
//! for, all in this process, and an HTTP client that speaks to it as anyone from outside would.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use tidelog_cli::token::{Access, Claims};
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::Config;
use tidelog_runtime::database;
use tidelog_store::Tables;
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::batch::Batch;
use crate::configs::Configs;
use crate::gateway;
use crate::options::WorldOptions;
use crate::replica::Replica;
use crate::replicas::Replicas;

/// The secret of the worlds' tokens.
pub const SECRET: &str = "a-secret-for-tests-of-32-bytes-or-more";
const TOKEN_HOURS: u64 = 1;

/// A user's token.
///
/// # Panics
/// Never with the tests' secret.
pub fn token(user: &str) -> String {
    Claims::new(user, TOKEN_HOURS).sign(SECRET).expect("a token")
}

/// An installation, up and running. Dropping it stops it.
pub struct World {
    /// The log's database.
    pub pool: PgPool,
    /// The broker.
    pub broker: Broker,
    /// Where its schema lies; it is watched.
    pub schema_file: PathBuf,
    /// Its services' configuration.
    pub config: Config,
    /// Its services' clock.
    pub clock: Clock,
    /// The gateway's address.
    pub address: SocketAddr,
    /// The address of its admin API.
    pub admin_address: SocketAddr,
    client: Client,
    pub(crate) configs: Configs,
    pub(crate) shutdown: CancellationToken,
    _replicas: Vec<Replica>,
    _folder: TempDir,
}

impl World {
    /// A world with the defaults: one ingest, the example schema, shared servers.
    pub async fn new() -> Self {
        WorldOptions::default().start().await
    }

    /// Starts its services with `configs`; the world itself reaches the servers as `direct` says.
    pub(crate) async fn start(
        direct: Config,
        configs: Configs,
        clock: Clock,
        folder: TempDir,
        schema_file: PathBuf,
        replicas: Replicas,
    ) -> Self {
        let pool = connect(&direct);
        Tables::of_this_release().expand(&pool).await.expect("migrations");
        let broker = connect_broker(&direct, "world").await;
        broker.ensure_streams().await.expect("streams");
        let shutdown = CancellationToken::new();
        let addresses =
            Box::pin(gateway::start(configs.of("gateway"), clock.clone(), shutdown.child_token())).await;
        Self {
            pool,
            broker,
            schema_file,
            address: addresses.public,
            admin_address: addresses.admin,
            client: Client::builder().timeout(Duration::from_secs(90)).build().expect("a client"),
            _replicas: replicas.start(&configs, &clock, &shutdown),
            shutdown,
            config: configs.all.clone(),
            configs,
            clock,
            _folder: folder,
        }
    }

    /// Swaps the schema file as a deployment does, so that nobody reads half of it.
    pub fn write_schema(&self, text: &str) {
        let new = self.schema_file.with_extension("new");
        std::fs::write(&new, text).expect("a written file");
        std::fs::rename(&new, &self.schema_file).expect("a swapped file");
    }

    /// A user's token, by the world's clock.
    pub fn token(&self, user: &str) -> String {
        Claims::from_time(self.clock.now(), user, TOKEN_HOURS).sign(SECRET).expect("a token")
    }

    /// A request with a user's token.
    pub fn request(&self, method: Method, path: &str, user: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).bearer_auth(self.token(user))
    }

    /// A request with that token, or with none.
    pub fn request_with(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        self.request_to(self.address, method, path, token)
    }

    /// The same to another address of the world.
    pub fn request_to(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        token: Option<&str>,
    ) -> RequestBuilder {
        let request = self.client.request(method, format!("http://{address}{path}"));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A request to the admin API, with a token whose scope is `scope`: `admin`, `admin:read`, or another.
    pub fn admin_request(&self, method: Method, path: &str, scope: &str) -> RequestBuilder {
        let claims = Claims::from_time(self.clock.now(), "support", TOKEN_HOURS);
        let token = claims.with_scope(scope).sign(SECRET).expect("a token");
        self.client.request(method, format!("http://{}{path}", self.admin_address)).bearer_auth(token)
    }

    /// A request of a trusted backend, which may write to every space.
    pub fn backend_request(&self, method: Method, path: &str) -> RequestBuilder {
        let claims = Claims::from_time(self.clock.now(), "backend", TOKEN_HOURS);
        let token = claims.with_space("*", Access::Rw).sign(SECRET);
        self.client
            .request(method, format!("http://{}{path}", self.address))
            .bearer_auth(token.expect("a token"))
    }

    /// Pushes a batch to the user's own space, as an SDK does: one frame.
    pub async fn push(&self, user: &str, batch: &Batch) -> Answer {
        self.push_body(user, batch.frame(), Some("zstd")).await
    }

    /// Pushes any bytes as NDJSON to the user's own space.
    pub async fn push_body(&self, user: &str, body: Vec<u8>, encoding: Option<&str>) -> Answer {
        let mut request = self.request(Method::POST, "/v1/spaces/me/events", user);
        request = request.header("Content-Type", "application/x-ndjson").body(body);
        if let Some(encoding) = encoding {
            request = request.header("Content-Encoding", encoding);
        }
        Answer::of(request).await
    }

    /// Pushes any text as JSON to the user's own space.
    pub async fn push_json(&self, user: &str, body: impl Into<String>) -> Answer {
        let request = self.request(Method::POST, "/v1/spaces/me/events", user);
        Answer::of(request.header("Content-Type", "application/json").body(body.into())).await
    }

    /// Pushes, and again while the answer says that the batch may not be in the log yet, as an SDK does.
    pub async fn push_until_committed(&self, user: &str, batch: &Batch) -> Answer {
        self.push_until_committed_at(self.address, user, batch).await
    }

    /// The same through the gateway at that address.
    pub async fn push_until_committed_at(&self, gateway: SocketAddr, user: &str, batch: &Batch) -> Answer {
        crate::eventually("the batch is committed", async || {
            let answer = Answer::try_of(self.push_request(gateway, user, batch)).await.ok()?;
            (answer.status != StatusCode::ACCEPTED && answer.status.as_u16() < 500).then_some(answer)
        })
        .await
    }

    /// The request of a push to the user's own space through the gateway at that address, not yet sent.
    pub fn push_request(&self, gateway: SocketAddr, user: &str, batch: &Batch) -> RequestBuilder {
        self.client
            .post(format!("http://{gateway}/v1/spaces/me/events"))
            .bearer_auth(self.token(user))
            .header("Content-Type", "application/x-ndjson")
            .header("Content-Encoding", "zstd")
            .body(batch.frame())
    }

    /// A pull of the user's own space as JSON; `query` as in `after=0&limit=10`.
    pub async fn pull(&self, user: &str, query: &str) -> Answer {
        let request = self.request(Method::GET, &format!("/v1/spaces/me/log?{query}"), user);
        Answer::of(request.header("Accept", "application/json")).await
    }

    /// All events of the user's own space, pulled page by page, each with its position.
    ///
    /// # Panics
    /// When the pages do not follow each other without gaps.
    pub async fn whole_log(&self, user: &str) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let page = self.pull(user, &format!("after={}&limit=1000", events.len())).await;
            page.expect(200);
            let new = page.json["events"].as_array().expect("events").clone();
            for event in new {
                assert_eq!(event["position"], json!(events.len() + 1), "positions are gapless");
                events.push(event);
            }
            if page.json["more"] == json!(false) {
                return events;
            }
        }
    }

    /// Stops its services, as SIGTERM does.
    pub fn stop(&self) {
        self.shutdown.cancel();
    }

    /// The head of a space in PostgreSQL.
    pub async fn head(&self, space: &str) -> i64 {
        let head = sqlx::query_scalar("SELECT head FROM spaces WHERE space_id = $1").bind(space);
        head.fetch_optional(&self.pool).await.expect("an answer").unwrap_or(0)
    }

    /// Waits until so many sessions of the world's database wait for a lock.
    pub async fn waits_for_locks(&self, sessions: i64) {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        crate::eventually(&format!("{sessions} sessions wait for a lock"), async || {
            let count: i64 = sqlx::query_scalar(waiting).fetch_one(&self.pool).await.ok()?;
            (count == sessions).then_some(())
        })
        .await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(crate) fn section<T: serde::de::DeserializeOwned>(config: &Config, name: &str) -> T {
    config.section(name).expect("a section")
}

pub(crate) fn connect(config: &Config) -> PgPool {
    database::connect(&section(config, "database"), "world").expect("a pool")
}

pub(crate) async fn connect_broker(config: &Config, name: &str) -> Broker {
    Broker::connect(&section(config, "broker"), name).await.expect("a broker")
}
