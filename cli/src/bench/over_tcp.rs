//! Services of the bench's own that reach PostgreSQL over TCP: beside the running stack's, on its servers, with a
//! database and streams of their own that go again with them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tidelog_runtime::broker::{Broker, BrokerConfig};
use tidelog_runtime::config::{Config, Sources};

use crate::local::{create_database, free_port, url_with_database};
use crate::migrate;
use crate::stack_file::StackFile;
use crate::terminal::warn;
use crate::up::{Service, program};

const DATABASE: &str = "tidelog_bench_tcp";
const STREAM_PREFIX: &str = "BENCH-TCP-";

/// Such services.
pub(super) struct OverTcp {
    /// Where they are.
    pub(super) stack: StackFile,
    /// What they are configured with.
    pub(super) sources: Sources,
    admin_url: String,
    services: Vec<Service>,
    /// Their logs.
    folder: TempDir,
}

impl OverTcp {
    /// Starts them beside the stack that `running` describes.
    pub(super) async fn start(running: &StackFile) -> Result<Self> {
        ensure!(
            !running.database_url.contains("host="),
            "the stack's file names PostgreSQL by a unix socket"
        );
        let mut stack = running.clone();
        stack.pids.retain(|role, _| matches!(role.as_str(), "nats" | "postgres"));
        stack.database_url = url_with_database(&running.database_url, DATABASE)?;
        let mut over_tcp = Self {
            sources: sources(&stack),
            stack,
            admin_url: running.database_url.clone(),
            services: Vec::new(),
            folder: tempfile::tempdir().context("cannot create a folder for logs")?,
        };
        if let Err(error) = over_tcp.bring_up().await {
            if let Err(left) = over_tcp.stop().await {
                warn("bench", &format!("something was left behind: {left:#}"));
            }
            return Err(error);
        }
        Ok(over_tcp)
    }

    async fn bring_up(&mut self) -> Result<()> {
        // A bench that was killed may have left its own.
        self.remove().await?;
        create_database(&self.admin_url, DATABASE).await?;
        migrate::run(&self.sources).await?;
        for name in ["gateway", "ingest", "projector"] {
            self.start_service(name).await?;
        }
        Ok(())
    }

    async fn start_service(&mut self, name: &str) -> Result<()> {
        let mut environment = self.sources.environment.clone();
        let operations = format!("127.0.0.1:{}", free_port()?);
        environment
            .insert(format!("TIDELOG__{}__OPERATIONS_LISTEN", name.to_uppercase()), operations.clone());
        if name == "gateway" {
            let listen = format!("127.0.0.1:{}", free_port()?);
            self.stack.gateway_url = format!("http://{listen}");
            environment.insert("TIDELOG__GATEWAY__LISTEN".to_owned(), listen);
        }
        let mut service = Service {
            role: name.to_owned(),
            program: program(&format!("tidelog-{name}"))?,
            environment,
            operations_url: format!("http://{operations}"),
            log: self.folder.path().join(format!("{name}.log")),
            process: None,
        };
        service.start().await?;
        if let Some(process) = &service.process {
            self.stack.pids.insert(name.to_owned(), process.id());
        }
        self.services.push(service);
        Ok(())
    }

    /// Stops them, and removes their database and streams.
    pub(super) async fn stop(mut self) -> Result<()> {
        let mut stopped = Ok(());
        for service in &mut self.services {
            stopped = stopped.and(service.stop().await);
        }
        stopped.and(self.remove().await)
    }

    async fn remove(&self) -> Result<()> {
        let broker: BrokerConfig = Config::load(&self.sources)?.section("broker")?;
        let broker = Broker::connect(&broker, "tidelog-bench").await?;
        let removed = broker.remove_streams().await.context("cannot remove the bench's streams");
        removed.and(remove_database(&self.admin_url).await)
    }
}

fn sources(stack: &StackFile) -> Sources {
    let environment = [
        ("TIDELOG__AUTH__HS256_SECRET", stack.jwt_secret.as_str()),
        ("TIDELOG__BROKER__STREAM_PREFIX", STREAM_PREFIX),
        ("TIDELOG__BROKER__SUBJECT_PREFIX", "tidelog-bench-tcp"),
        ("TIDELOG__BROKER__URL", &stack.nats_url),
        ("TIDELOG__DATABASE__URL", &stack.database_url),
        ("TIDELOG__SCHEMA__FILE", &stack.schema_file),
    ];
    let environment: BTreeMap<_, _> =
        environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Sources { file: None, environment }
}

async fn remove_database(url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await.context("cannot connect to PostgreSQL")?;
    let statement = format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)");
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .context("cannot remove the bench's database")?;
    connection.close().await?;
    Ok(())
}
