//! The compactor's process: reads the configuration and wires the service; or with `--once` works through all spaces
//! once, as a CronJob does.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tidelog_archive::{Archive, ArchiveConfig};
use tidelog_compactor::{Compactor, CompactorConfig, Deps, METRICS, Swept};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database;
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tidelog_runtime::{metrics, operations, shutdown, telemetry};
use tokio::net::TcpListener;
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

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let config = Config::load(&Sources::from_process())?;
    telemetry::init(&config.section("telemetry")?, "tidelog-compactor")?;
    let compactor: CompactorConfig = config.section("compactor")?;
    let shutdown = shutdown::on_signal()?;
    let pool = database::connect(&config.section("database")?, "tidelog-compactor")?;
    let (schema, _watch) = SchemaWatch::start(&config.section("schema")?, shutdown.clone())?;
    let readiness = Readiness::new(TOLERANCE);
    let archive: ArchiveConfig = config.section("archive")?;
    if let Some(folder) = archive.folder() {
        let folder = folder.display();
        tracing::warn!(%folder, "the archive is a folder: it must outlive this process, and gateways must see it");
    }
    let deps = Deps {
        pool,
        archive: Archive::open(&archive)?,
        schema,
        clock: Clock::from_config(&config.section("clock")?)?,
        config: compactor.clone(),
        retention: config.section("retention")?,
        readiness: readiness.clone(),
    };
    if options.dry_run {
        return dry_run(&deps.compactor()).await;
    }
    if options.once {
        return once(&deps.compactor(), &shutdown).await;
    }
    let recorder = metrics::install()?;
    metrics::describe(METRICS);
    let listener = TcpListener::bind(compactor.operations_listen)
        .await
        .with_context(|| format!("cannot listen on {}", compactor.operations_listen))?;
    let _operations = operations::serve(listener, readiness, recorder, shutdown.clone());
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
