//! One installation of Tidelog: migrated, with a gateway and as many ingests as a test asks for, all in this
//! process, and an HTTP client that speaks to it as anyone from outside would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use tidelog_cli::token::{Access, Claims};
use tidelog_gateway::{AuthConfig, GatewayConfig, Verifier};
use tidelog_runtime::broker::Broker;
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database;
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::batch::Batch;
use crate::ingest::Ingest;
use crate::servers::{PrivateServers, shared_servers};

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

/// What a world is made of.
pub struct WorldOptions<'a> {
    ingests: usize,
    servers: Option<&'a PrivateServers>,
    environment: BTreeMap<String, String>,
    schema: String,
}

impl Default for WorldOptions<'_> {
    fn default() -> Self {
        let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/fitness.yaml");
        Self {
            ingests: 1,
            servers: None,
            environment: BTreeMap::new(),
            schema: std::fs::read_to_string(schema).expect("the example schema"),
        }
    }
}

impl<'a> WorldOptions<'a> {
    /// With that many ingests at the start.
    #[must_use]
    pub fn ingests(mut self, ingests: usize) -> Self {
        self.ingests = ingests;
        self
    }

    /// On servers of its own.
    #[must_use]
    pub fn on(mut self, servers: &'a PrivateServers) -> Self {
        self.servers = Some(servers);
        self
    }

    /// With a key of the configuration, `section.key`, set.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        let name = format!("TIDELOG__{}", key.to_uppercase().replace('.', "__"));
        self.environment.insert(name, value.to_string());
        self
    }

    /// With another schema than the example.
    #[must_use]
    pub fn schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.schema);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When anything of it cannot be started.
    pub async fn start(mut self) -> World {
        let id = Uuid::new_v4().simple().to_string();
        let database = format!("world_{id}");
        let (nats_url, database_url) = if let Some(servers) = self.servers {
            servers.postgres.create_database(&database).await.expect("a database");
            (servers.nats.url(), servers.postgres.socket_url(&database))
        } else {
            let servers = shared_servers().await;
            servers.create_database(&database).await.expect("a database");
            (servers.nats_url(), servers.database_url(&database).expect("a URL"))
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let schema_file = folder.path().join("schema.yaml");
        std::fs::write(&schema_file, &self.schema).expect("a schema file");
        let defaults = [
            ("TIDELOG__BROKER__URL", nats_url),
            ("TIDELOG__BROKER__SUBJECT_PREFIX", format!("w{id}")),
            ("TIDELOG__BROKER__STREAM_PREFIX", format!("W{id}_")),
            ("TIDELOG__BROKER__PUSH_MAX_BYTES", (64 << 20).to_string()),
            ("TIDELOG__BROKER__LOG_MAX_BYTES", (64 << 20).to_string()),
            ("TIDELOG__DATABASE__URL", database_url),
            ("TIDELOG__DATABASE__MAX_CONNECTIONS", "6".to_owned()),
            ("TIDELOG__SCHEMA__FILE", schema_file.display().to_string()),
            ("TIDELOG__SCHEMA__WATCH_INTERVAL_MS", "50".to_owned()),
            ("TIDELOG__AUTH__HS256_SECRET", SECRET.to_owned()),
        ];
        for (name, value) in defaults {
            self.environment.entry(name.to_owned()).or_insert(value);
        }
        let config =
            Config::load(&Sources { file: None, environment: self.environment }).expect("a configuration");
        World::start(config, folder, schema_file, self.ingests).await
    }
}

/// An installation, up and running. Dropping it stops it.
pub struct World {
    /// The log's database.
    pub pool: PgPool,
    /// The broker.
    pub broker: Broker,
    /// Where its schema lies; it is watched.
    pub schema_file: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// The gateway's address.
    pub address: SocketAddr,
    client: Client,
    shutdown: CancellationToken,
    _ingests: Vec<Ingest>,
    _folder: TempDir,
}

impl World {
    /// A world with the defaults: one ingest, the example schema, shared servers.
    pub async fn new() -> Self {
        WorldOptions::default().start().await
    }

    async fn start(config: Config, folder: TempDir, schema_file: PathBuf, ingests: usize) -> Self {
        let pool = connect(&config);
        tidelog_store::migrate(&pool).await.expect("migrations");
        let broker = connect_broker(&config, "world").await;
        broker.ensure_streams().await.expect("streams");
        let shutdown = CancellationToken::new();
        let address = start_gateway(&config, shutdown.child_token()).await;
        let ingests = (0..ingests).map(|_| Ingest::start(&config, shutdown.child_token())).collect();
        Self {
            pool,
            broker,
            schema_file,
            config,
            address,
            client: Client::builder().timeout(Duration::from_secs(90)).build().expect("a client"),
            shutdown,
            _ingests: ingests,
            _folder: folder,
        }
    }

    /// Starts another ingest, which shares the consumer with the others.
    pub fn start_ingest(&self) -> Ingest {
        Ingest::start(&self.config, self.shutdown.child_token())
    }

    /// Starts another gateway and returns its address.
    pub async fn start_gateway(&self) -> SocketAddr {
        start_gateway(&self.config, self.shutdown.child_token()).await
    }

    /// Swaps the schema file as a deployment does, so that nobody reads half of it.
    pub fn write_schema(&self, text: &str) {
        let new = self.schema_file.with_extension("new");
        std::fs::write(&new, text).expect("a written file");
        std::fs::rename(&new, &self.schema_file).expect("a swapped file");
    }

    /// A request with a user's token.
    pub fn request(&self, method: Method, path: &str, user: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).bearer_auth(token(user))
    }

    /// A request with that token, or with none.
    pub fn request_with(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A request of a trusted backend, which may write to every space.
    pub fn backend_request(&self, method: Method, path: &str) -> RequestBuilder {
        let token = Claims::new("backend", TOKEN_HOURS).with_space("*", Access::Rw).sign(SECRET);
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
            .bearer_auth(token(user))
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

    /// The head of a space in PostgreSQL.
    pub async fn head(&self, space: &str) -> i64 {
        let head = sqlx::query_scalar("SELECT head FROM spaces WHERE space_id = $1").bind(space);
        head.fetch_optional(&self.pool).await.expect("an answer").unwrap_or(0)
    }
}

impl World {
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

/// An answer of the gateway.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// The body as JSON; null where it is none.
    pub json: Value,
}

impl Answer {
    /// Sends the request.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn of(request: RequestBuilder) -> Self {
        Self::try_of(request).await.expect("an answer")
    }

    /// Sends the request, which may fail.
    pub async fn try_of(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Self { status, headers, body, json })
    }

    /// Asserts the status, and shows the body where it is another.
    ///
    /// # Panics
    /// When it is another.
    pub fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Asserts that the request was refused with that status and code, as a problem that names both.
    ///
    /// # Panics
    /// When it was not.
    pub fn expect_refusal(&self, status: u16, code: &str) -> &Self {
        self.expect(status);
        assert_eq!(self.json["code"], code, "{}", self.json);
        assert_eq!(self.json["status"], status);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        self
    }

    /// Asserts that a push was committed at those positions; none for a push that appended nothing.
    ///
    /// # Panics
    /// When it was not.
    pub fn expect_committed(&self, positions: Option<(u64, u64)>) -> &Self {
        self.expect(200);
        assert_eq!(self.json["committed"], true);
        assert_eq!(self.json["first"], json!(positions.map(|(first, _)| first)), "{}", self.json);
        assert_eq!(self.json["last"], json!(positions.map(|(_, last)| last)), "{}", self.json);
        self
    }

    /// The receipts as (sequence, status, code).
    pub fn receipts(&self) -> Vec<(u64, String, Option<String>)> {
        let receipts = self.json["receipts"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        receipts
            .iter()
            .map(|receipt| {
                let sequence = receipt["deviceSequence"].as_u64().unwrap_or_default();
                (sequence, text(&receipt["status"]).unwrap_or_default(), text(&receipt["code"]))
            })
            .collect()
    }
}

pub(crate) fn section<T: serde::de::DeserializeOwned>(config: &Config, name: &str) -> T {
    config.section(name).expect("a section")
}

fn connect(config: &Config) -> PgPool {
    database::connect(&section(config, "database"), "world").expect("a pool")
}

async fn connect_broker(config: &Config, name: &str) -> Broker {
    Broker::connect(&section(config, "broker"), name).await.expect("a broker")
}

async fn start_gateway(config: &Config, shutdown: CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (schema, _watch) =
        SchemaWatch::start(&section(config, "schema"), shutdown.clone()).expect("a schema");
    let auth: AuthConfig = section(config, "auth");
    let gateway: GatewayConfig = section(config, "gateway");
    let deps = tidelog_gateway::Deps {
        pool: connect(config),
        broker: connect_broker(config, "gateway").await,
        schema,
        limits: section(config, "limits"),
        config: gateway,
        verifier: Verifier::new(&auth).expect("a secret"),
        readiness: Readiness::new(TOLERANCE),
    };
    tokio::spawn(tidelog_gateway::run(listener, deps, shutdown));
    address
}
