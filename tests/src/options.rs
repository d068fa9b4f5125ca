//! What a test asks of its world: servers, services, configuration, schema.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use reqwest::Url;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{Config, Sources};
use uuid::Uuid;

use crate::configs::Configs;
use crate::proxy::Proxy;
use crate::replicas::Replicas;
use crate::servers::{PrivateServers, shared_servers};
use crate::world::{SECRET, World, section};

/// What a world is made of.
pub struct WorldOptions<'a> {
    replicas: Replicas,
    servers: Option<&'a PrivateServers>,
    environment: BTreeMap<String, String>,
    own: BTreeMap<&'static str, BTreeMap<String, String>>,
    broker_proxy: Option<SocketAddr>,
    database_proxy: Option<SocketAddr>,
    schema: String,
    clock: Option<Clock>,
}

impl Default for WorldOptions<'_> {
    fn default() -> Self {
        let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/fitness.yaml");
        Self {
            replicas: Replicas { ingests: 1, projectors: 0, compactors: 0 },
            servers: None,
            environment: BTreeMap::new(),
            own: BTreeMap::new(),
            broker_proxy: None,
            database_proxy: None,
            schema: std::fs::read_to_string(schema).expect("the example schema"),
            clock: None,
        }
    }
}

impl<'a> WorldOptions<'a> {
    /// With that many ingests at the start.
    #[must_use]
    pub fn ingests(mut self, ingests: usize) -> Self {
        self.replicas.ingests = ingests;
        self
    }

    /// With that many projectors at the start; without this, with none.
    #[must_use]
    pub fn projectors(mut self, projectors: usize) -> Self {
        self.replicas.projectors = projectors;
        self
    }

    /// With that many compactors at the start; without this, with none.
    #[must_use]
    pub fn compactors(mut self, compactors: usize) -> Self {
        self.replicas.compactors = compactors;
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
        self.environment.insert(variable(key), value.to_string());
        self
    }

    /// With a key of the configuration set for one service alone: `gateway`, `ingest`, `projector` or `compactor`.
    #[must_use]
    pub fn set_for(mut self, service: &'static str, key: &str, value: impl ToString) -> Self {
        self.own.entry(service).or_default().insert(variable(key), value.to_string());
        self
    }

    /// With a proxy between its services and the broker. What the world itself looks at, it looks at directly.
    #[must_use]
    pub fn broker_through(mut self, proxy: &Proxy) -> Self {
        self.broker_proxy = Some(proxy.address());
        self
    }

    /// With a proxy between its services and the database, likewise.
    #[must_use]
    pub fn database_through(mut self, proxy: &Proxy) -> Self {
        self.database_proxy = Some(proxy.address());
        self
    }

    /// With another schema than the example.
    #[must_use]
    pub fn schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.schema);
        self
    }

    /// With that clock for its services and for the tokens that it makes; without this, the system's, with days as
    /// configured.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Where broker and database are, which is made here, unless a test has made its own.
    async fn urls(&self, database: &str) -> (String, String) {
        if ["broker.url", "database.url"].iter().all(|key| self.environment.contains_key(&variable(key))) {
            return (String::new(), String::new());
        }
        if let Some(servers) = self.servers {
            servers.postgres.create_database(database).await.expect("a database");
            return (servers.nats.url(), servers.postgres.socket_url(database));
        }
        let servers = shared_servers().await;
        servers.create_database(database).await.expect("a database");
        (servers.nats_url(), servers.database_url(database).expect("a URL"))
    }

    /// Starts it.
    ///
    /// # Panics
    /// When anything of it cannot be started.
    pub async fn start(mut self) -> World {
        let id = Uuid::new_v4().simple().to_string();
        let database = format!("world_{id}");
        let (nats_url, database_url) = self.urls(&database).await;
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
            ("TIDELOG__ARCHIVE__URL", folder.path().join("archive").display().to_string()),
            ("TIDELOG__SCHEMA__FILE", schema_file.display().to_string()),
            ("TIDELOG__SCHEMA__WATCH_INTERVAL_MS", "50".to_owned()),
            ("TIDELOG__AUTH__HS256_SECRET", SECRET.to_owned()),
            ("TIDELOG__GATEWAY__DRAIN_DELAY_MS", "0".to_owned()),
            // Every test calls from one address, and most as one user.
            ("TIDELOG__RATES__ADDRESS_PER_SECOND", "0".to_owned()),
            ("TIDELOG__RATES__USER_PER_SECOND", "0".to_owned()),
        ];
        for (name, value) in defaults {
            self.environment.entry(name.to_owned()).or_insert(value);
        }
        let load = |environment: &BTreeMap<String, String>| {
            let environment = environment.clone();
            Config::load(&Sources { file: None, environment }).expect("a configuration")
        };
        let direct = load(&self.environment);
        let proxies =
            [("TIDELOG__BROKER__URL", self.broker_proxy), ("TIDELOG__DATABASE__URL", self.database_proxy)];
        for (name, proxy) in proxies {
            if let (Some(proxy), Some(url)) = (proxy, self.environment.get_mut(name)) {
                *url = through(url, proxy);
            }
        }
        let own = self.own.iter().map(|(service, own)| {
            let mut environment = self.environment.clone();
            environment.extend(own.clone());
            (*service, load(&environment))
        });
        let configs = Configs { all: load(&self.environment), own: own.collect() };
        let configured = || Clock::from_config(&section(&configs.all, "clock")).expect("a clock");
        let clock = self.clock.unwrap_or_else(configured);
        Box::pin(World::start(direct, configs, clock, folder, schema_file, self.replicas)).await
    }
}

fn variable(key: &str) -> String {
    format!("TIDELOG__{}", key.to_uppercase().replace('.', "__"))
}

/// The URL with another address in it. A PostgreSQL that was reached by its unix socket is reached over TCP then.
fn through(url: &str, proxy: SocketAddr) -> String {
    let mut url = Url::parse(url).expect("a URL");
    url.set_query(None);
    url.set_ip_host(proxy.ip()).expect("a host");
    url.set_port(Some(proxy.port())).expect("a port");
    url.to_string()
}
