//! The compactor's process: reads the configuration and wires the service; or with `--once` works through all spaces
//! once, as a CronJob does.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tidelog_archive::{Archive, ArchiveConfig};
use tidelog_compactor::{Compactor, CompactorConfig, Deps, METRICS, Swept};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database;
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tidelog_runtime::{metrics, operations, service, shutdown, telemetry};
use tidelog_store::{Tables, tables};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

/// It takes half the time of the system's, and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Tidelog's compactor: snapshots, archives and prunes the log, and merges its segments.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Work through all spaces once, and end
    #[arg(long)]
    once: bool,
    /// Say what would be done with each space, and do nothing
    #[arg(long)]
    dry_run: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    service::run("tidelog-compactor", Builder::new_multi_thread(), serve(options))
}

async fn serve(options: Options) -> Result<()> {
    let config = Config::load(&Sources::from_process())?;
    tidelog_compactor::check(&config)?;
    let _telemetry = telemetry::init(&config.section("telemetry")?, "tidelog-compactor")?;
    let compactor: CompactorConfig = config.section("compactor")?;
    let shutdown = shutdown::on_signal()?;
    let tables = Tables::of_this_release();
    let pool =
        database::connect(&config.section("database")?, &tables.application_name("tidelog-compactor"))?;
    let schema = SchemaWatch::start(&config.section("schema")?, shutdown.clone());
    let (schema, _watch) = schema.map_err(|error| config.refused("schema.file", &error))?;
    let readiness = Readiness::new(TOLERANCE);
    let archive: ArchiveConfig = config.section("archive")?;
    if let Some(folder) = archive.folder() {
        let folder = folder.display();
        tracing::warn!(%folder, "the archive is a folder: it must outlive this process, and gateways must see it");
    }
    let deps = Deps {
        pool,
        archive: Archive::open(&archive).map_err(|error| config.refused("archive.url", &error))?,
        schema,
        clock: Clock::from_config(&config.section("clock")?)?,
        config: compactor.clone(),
        retention: config.section("retention")?,
        readiness: readiness.clone(),
    };
    if options.dry_run || options.once {
        // The service looks itself, again and again.
        tables::ready(&deps.pool).await.context("the spaces cannot be looked at")?;
    }
    if options.dry_run {
        return dry_run(&deps.compactor()).await;
    }
    if options.once {
        return once(&deps.compactor(), &shutdown).await;
    }
    let recorder = metrics::install()?;
    metrics::name_service("compactor");
    metrics::describe(METRICS);
    let address = compactor.operations_listen;
    let listener = operations::listen(&config, "compactor.operations_listen", address).await?;
    let _operations = operations::serve(listener, readiness, recorder, shutdown.clone());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), operations = %address, "started");
    tidelog_compactor::run(deps, shutdown).await
}

async fn dry_run(compactor: &Compactor) -> Result<()> {
    compactor.dry_run(|space, plan| println!("{space}: {plan}")).await?;
    Ok(())
}

async fn once(compactor: &Compactor, stop: &CancellationToken) -> Result<()> {
    let swept = compactor.sweep(stop, |_, _| {}).await?;
    tracing::info!(?swept, "swept all spaces");
    let Swept { refused, failed, .. } = swept;
    ensure!(refused + failed == 0, "{refused} spaces were refused, {failed} failed: see above");
    Ok(())
}
