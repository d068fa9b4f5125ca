//! Services that are started before what they need: they live, say what they wait for, and go on by themselves when it comes.

use serde_json::json;
use tempfile::TempDir;
use tidelog_cli::local::free_port;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database;
use tidelog_store::Tables;
use tidelog_tests::{Answer, Batch, PrivateServers, SECRET, ServiceProcess, built, eventually, token};

use super::process::SCHEMA;

/// The four services.
const SERVICES: [&str; 4] = ["gateway", "ingest", "projector", "compactor"];

/// What is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    Broker,
    Database,
}

struct Services {
    all: Vec<(&'static str, ServiceProcess)>,
    gateway: String,
    _folder: TempDir,
}

impl Services {
    fn start(servers: &PrivateServers, database: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gateway = format!("127.0.0.1:{}", free_port().unwrap());
        let environment = [
            ("TIDELOG__SCHEMA__FILE", SCHEMA.to_owned()),
            ("TIDELOG__BROKER__URL", servers.nats.url()),
            ("TIDELOG__BROKER__STREAM_PREFIX", database.to_uppercase()),
            ("TIDELOG__BROKER__SUBJECT_PREFIX", database.to_owned()),
            ("TIDELOG__DATABASE__URL", servers.postgres.socket_url(database)),
            ("TIDELOG__DATABASE__ACQUIRE_TIMEOUT_MS", "500".to_owned()),
            ("TIDELOG__GATEWAY__LISTEN", gateway.clone()),
            ("TIDELOG__GATEWAY__DRAIN_DELAY_MS", "1000".to_owned()),
            ("TIDELOG__ADMIN__LISTEN", String::new()),
            ("TIDELOG__AUTH__HS256_SECRET", SECRET.to_owned()),
            // Nobody is there, and nobody is needed to start.
            ("TIDELOG__AUTH__JWKS_URL", "http://127.0.0.1:1/jwks".to_owned()),
            ("TIDELOG__ARCHIVE__URL", "s3://bucket/prefix".to_owned()),
            ("TIDELOG__ARCHIVE__S3_ENDPOINT", "https://127.0.0.1:1".to_owned()),
            ("TIDELOG__ARCHIVE__S3_ACCESS_KEY_ID", "id".to_owned()),
            ("TIDELOG__ARCHIVE__S3_SECRET_ACCESS_KEY", "key".to_owned()),
        ];
        let start = |role| {
            let program = built(&format!("tidelog-{role}"));
            (role, ServiceProcess::start(role, &program, folder.path(), environment.clone()))
        };
        Self { all: SERVICES.map(start).into(), gateway, _folder: folder }
    }

    fn named<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a ServiceProcess> {
        self.all.iter().filter(|(name, _)| names.contains(name)).map(|(_, service)| service)
    }

    /// Waits until each of them says that it waits for that.
    async fn wait_for(&self, names: &[&str], reason: &str) {
        for service in self.named(names) {
            service.waits_for(reason).await;
        }
    }

    async fn are_ready(&self, names: &[&str]) {
        for service in self.named(names) {
            service.is_ready().await;
        }
    }

    async fn push(&self, batch: &Batch) -> Option<Answer> {
        let request = reqwest::Client::new()
            .post(format!("http://{}/v1/spaces/me/events", self.gateway))
            .bearer_auth(token("ann"))
            .header("Content-Type", "application/x-ndjson")
            .header("Content-Encoding", "zstd");
        Answer::try_of(request.body(batch.frame())).await.ok()
    }
}

/// Migrates the database as `tidelog migrate` does.
async fn migrate(servers: &PrivateServers, name: &str) {
    let url = servers.postgres.socket_url(name);
    let environment = [("TIDELOG__DATABASE__URL".to_owned(), url)].into();
    let config = Config::load(&Sources { file: None, environment }).unwrap();
    let pool = database::connect(&config.section("database").unwrap(), "migrate").unwrap();
    Tables::of_this_release().expand(&pool).await.unwrap();
}

const ALL: &[&str] = &SERVICES;
/// Those that need a broker.
const OF_BROKER: &[&str] = &["gateway", "ingest", "projector"];

#[tokio::test(flavor = "multi_thread")]
async fn services_start_before_what_they_need_and_go_on_by_themselves() {
    let mut servers = PrivateServers::start().await;
    for (name, last) in [("first", Away::Broker), ("second", Away::Database)] {
        servers.postgres.create_database(name).await.unwrap();
        servers.nats.stop().await.unwrap();
        servers.postgres.stop().await.unwrap();
        let services = Services::start(&servers, name);
        services.wait_for(ALL, "database: ").await;
        services.wait_for(OF_BROKER, "broker: ").await;
        if last == Away::Database {
            servers.nats.restart().await.unwrap();
            services.wait_for(ALL, "database: ").await;
        }
        servers.postgres.restart().await.unwrap();
        // The server is there; nobody has made the tables.
        services.wait_for(ALL, "run `tidelog migrate`").await;
        migrate(&servers, name).await;
        if last == Away::Broker {
            services.are_ready(&["compactor"]).await;
            services.wait_for(OF_BROKER, "broker: ").await;
            servers.nats.restart().await.unwrap();
        }
        services.are_ready(ALL).await;
        committed_and_folded(&services).await;
        for (service, process) in &services.all {
            let told = process.log().matches("run `tidelog migrate`").count();
            assert_eq!(told, 1, "{service} says once what it waits for:\n{}", process.log());
        }
        stop(services).await;
    }
    assert!(Broker::connect(&broker(&servers), "test").await.unwrap().round_trip().await);
}

fn broker(servers: &PrivateServers) -> tidelog_runtime::broker::BrokerConfig {
    let environment = [("TIDELOG__BROKER__URL".to_owned(), servers.nats.url())].into();
    Config::load(&Sources { file: None, environment }).unwrap().section("broker").unwrap()
}

/// A push goes all the way.
async fn committed_and_folded(services: &Services) {
    let answer = eventually("a push is committed", async || {
        services.push(&Batch::new("phone-1", 1, 3)).await.filter(|answer| answer.json["committed"] == true)
    })
    .await;
    assert_eq!(answer.json["device"]["lastSequence"], json!(3));
    let url = format!("http://{}/v1/spaces/me/entities/workout?atLeast=3", services.gateway);
    let request = reqwest::Client::new().get(url).bearer_auth(token("ann"));
    let entities = Answer::of(request).await;
    assert_eq!(entities.expect(200).json["asOf"], json!(3));
}

/// Told to stop, each is not ready at once and lives until it ends, in good order and with a word on how that went.
async fn stop(services: Services) {
    let Services { all, gateway, _folder } = services;
    for (name, mut service) in all {
        service.terminate();
        if name == "gateway" {
            service.waits_for("stopping").await;
            // Load balancers may not have noticed yet.
            let url = format!("http://{gateway}/v1/schema");
            let answer = Answer::of(reqwest::Client::new().get(url).bearer_auth(token("ann"))).await;
            assert_eq!(answer.expect(200).headers["connection"], "close");
        }
        assert_eq!(service.ended().await.code(), Some(0), "{name}:\n{}", service.log());
        for word in ["started", "told to stop", "stopped"] {
            assert!(service.log().contains(word), "{name} says {word:?}:\n{}", service.log());
        }
    }
}
