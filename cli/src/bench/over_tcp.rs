//! Services of the bench's own that reach PostgreSQL over TCP: beside the running stack's, on its servers, with a
//! database and streams of their own that go again with them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tidelog_runtime::broker::{Broker, BrokerConfig};
use tidelog_runtime::config::{Config, Sources};

use crate::local::{create_database, free_port, url_with_database};
use crate::migrate;
use crate::stack_file::StackFile;
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
    _folder: TempDir,
}

impl OverTcp {
    /// Starts them beside the stack that `running` describes.
    pub(super) async fn start(running: &StackFile) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot create a folder for logs")?;
        remove_database(&running.database_url).await?;
        create_database(&running.database_url, DATABASE).await?;
        let mut stack = running.clone();
        stack.database_url = url_with_database(&running.database_url, DATABASE)?;
        let sources = sources(&stack);
        migrate::run(&sources).await?;
        let mut services = Vec::new();
        for name in ["gateway", "ingest", "projector"] {
            let mut environment = sources.environment.clone();
            let operations = format!("127.0.0.1:{}", free_port()?);
            environment
                .insert(format!("TIDELOG__{}__OPERATIONS_LISTEN", name.to_uppercase()), operations.clone());
            if name == "gateway" {
                let listen = format!("127.0.0.1:{}", free_port()?);
                stack.gateway_url = format!("http://{listen}");
                environment.insert("TIDELOG__GATEWAY__LISTEN".to_owned(), listen);
            }
            let mut service = Service {
                role: name.to_owned(),
                program: program(&format!("tidelog-{name}"))?,
                environment,
                operations_url: format!("http://{operations}"),
                log: folder.path().join(format!("{name}.log")),
                process: None,
            };
            service.start().await?;
            if let Some(process) = &service.process {
                stack.pids.insert(name.to_owned(), process.id());
            }
            services.push(service);
        }
        Ok(Self { stack, sources, admin_url: running.database_url.clone(), services, _folder: folder })
    }

    /// Stops them, and removes their database and streams.
    pub(super) async fn stop(mut self) -> Result<()> {
        for service in &mut self.services {
            service.stop().await?;
        }
        let broker: BrokerConfig = Config::load(&self.sources)?.section("broker")?;
        Broker::connect(&broker, "tidelog-bench").await?.remove_streams().await?;
        remove_database(&self.admin_url).await
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
