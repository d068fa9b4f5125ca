//! Services of the bench's own beside the running stack's, on its servers, with a database, streams and an archive of
//! their own that go again with them. They reach PostgreSQL over TCP.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tidelog_runtime::broker::{Broker, BrokerConfig};
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::shutdown;

use crate::local::{Deadline, Process, command, create_database, free_port, url_with_database};
use crate::migrate;
use crate::stack_file::StackFile;
use crate::terminal::warn;
use crate::up::{Service, lifted_limits, program};

const DATABASE: &str = "tidelog_bench";
const STREAM_PREFIX: &str = "BENCH-";
/// What a compactor that works through all spaces once may take.
const ONCE_PATIENCE: Duration = Duration::from_mins(30);

/// Keys of the configuration as environment variables, and their values.
pub(super) type Settings = Vec<(&'static str, String)>;

/// Such services.
pub(super) struct Beside {
    /// Where they are.
    pub(super) stack: StackFile,
    /// What they are configured with.
    pub(super) sources: Sources,
    admin_url: String,
    services: Vec<Service>,
    /// Their logs and the archive.
    folder: TempDir,
}

impl Beside {
    /// Works with such services, a gateway, an ingest and a projector, until that is done or somebody asks to stop; then
    /// nothing is left of them.
    pub(super) async fn during<T>(
        settings: Settings,
        work: impl AsyncFnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let stop = shutdown::on_signal()?;
        let mut beside = Self::start(&StackFile::find()?, settings).await?;
        let worked = stop.run_until_cancelled(Box::pin(work(&mut beside))).await;
        let logs = beside.folder.path().to_owned();
        beside.folder.disable_cleanup(worked.as_ref().is_some_and(Result::is_err));
        let stopped = beside.stop().await;
        let worked = worked.context("stopped before there was anything to report")?;
        if let (Ok(_), Err(error)) = (&worked, stopped) {
            warn("bench", &format!("something was left behind: {error:#}"));
        }
        worked.with_context(|| {
            format!("the bench has failed; what its services have to say is in {}", logs.display())
        })
    }

    async fn start(running: &StackFile, settings: Settings) -> Result<Self> {
        ensure!(
            !running.database_url.contains("host="),
            "the stack's file names PostgreSQL by a unix socket"
        );
        let folder = tempfile::tempdir().context("cannot create a folder for logs")?;
        let mut stack = running.clone();
        stack.pids.retain(|role, _| matches!(role.split('-').next(), Some("nats" | "postgres")));
        stack.operations_urls.clear();
        stack.database_url = url_with_database(&running.database_url, DATABASE)?;
        stack.archive_url = folder.path().join("archive").display().to_string();
        let mut sources = sources(&stack, settings);
        let lifted = lifted_limits(&sources)?;
        sources.environment.extend(lifted);
        let mut beside =
            Self { sources, stack, admin_url: running.database_url.clone(), services: Vec::new(), folder };
        if let Err(error) = beside.bring_up().await {
            if let Err(left) = beside.stop().await {
                warn("bench", &format!("something was left behind: {left:#}"));
            }
            return Err(error);
        }
        Ok(beside)
    }

    async fn bring_up(&mut self) -> Result<()> {
        // A bench that was killed may have left its own.
        self.remove().await?;
        create_database(&self.admin_url, DATABASE).await?;
        migrate::run(&self.sources).await?;
        for name in ["gateway", "ingest", "projector"] {
            self.start_service(name, Settings::new()).await?;
        }
        Ok(())
    }

    /// Starts one more service, with settings that only it has.
    pub(super) async fn start_service(&mut self, name: &str, settings: Settings) -> Result<()> {
        let mut environment = self.environment(settings);
        let operations = format!("127.0.0.1:{}", free_port()?);
        environment
            .insert(format!("TIDELOG__{}__OPERATIONS_LISTEN", name.to_uppercase()), operations.clone());
        if name == "gateway" {
            let listen = format!("127.0.0.1:{}", free_port()?);
            self.stack.gateway_url = format!("http://{listen}");
            environment.insert("TIDELOG__GATEWAY__LISTEN".to_owned(), listen);
            environment.insert("TIDELOG__ADMIN__LISTEN".to_owned(), format!("127.0.0.1:{}", free_port()?));
        }
        let operations_url = format!("http://{operations}");
        self.stack.operations_urls.insert(name.to_owned(), operations_url.clone());
        let mut service = Service {
            role: name.to_owned(),
            program: program(&format!("tidelog-{name}"))?,
            environment,
            operations_url,
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

    /// Lets a service finish what it is doing, then ends it.
    pub(super) async fn stop_service(&mut self, name: &str) -> Result<()> {
        for service in self.services.extract_if(.., |service| service.role == name) {
            let mut service = service;
            service.stop().await?;
        }
        self.stack.pids.remove(name);
        self.stack.operations_urls.remove(name);
        Ok(())
    }

    /// Runs the compactor once over all spaces, with settings that only it has.
    pub(super) async fn compact_once(&self, settings: &Settings) -> Result<()> {
        let mut once = command(program("tidelog-compactor")?, false);
        once.arg("--once").envs(self.environment(settings.clone()));
        let mut process = Process::spawn("compactor", once, &self.folder.path().join("compactor.log"))?;
        let deadline = Deadline::after(ONCE_PATIENCE, "the end of the compactor");
        loop {
            match process.exited()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the compactor ended ({status}):\n{}", process.last_words()),
                None => deadline.next_look().await?,
            }
        }
    }

    fn environment(&self, settings: Settings) -> BTreeMap<String, String> {
        let mut environment = self.sources.environment.clone();
        environment.extend(settings.into_iter().map(|(name, value)| (name.to_owned(), value)));
        environment
    }

    async fn stop(mut self) -> Result<()> {
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

fn sources(stack: &StackFile, settings: Settings) -> Sources {
    let own = [
        ("TIDELOG__ARCHIVE__URL", stack.archive_url.as_str()),
        ("TIDELOG__AUTH__HS256_SECRET", &stack.jwt_secret),
        ("TIDELOG__BROKER__STREAM_PREFIX", STREAM_PREFIX),
        ("TIDELOG__BROKER__SUBJECT_PREFIX", "tidelog-bench"),
        ("TIDELOG__BROKER__URL", &stack.nats_url),
        ("TIDELOG__DATABASE__URL", &stack.database_url),
        ("TIDELOG__SCHEMA__FILE", &stack.schema_file),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value));
    Sources { file: None, environment: own.into_iter().chain(settings).collect() }
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
