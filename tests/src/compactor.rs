//! A compactor of a world.

use sqlx::PgPool;
use tidelog_archive::Archive;
use tidelog_compactor::{Compactor, Deps, Swept};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::Config;
use tidelog_runtime::readiness::{Readiness, TOLERANCE};
use tidelog_runtime::schema_watch::SchemaWatch;
use tokio_util::sync::CancellationToken;

use crate::replica::Replica;
use crate::world::{connect, section};

/// Starts one with that configuration and clock; it also stops with `shutdown`.
pub(crate) fn start(config: &Config, clock: Clock, shutdown: CancellationToken) -> Replica {
    let config = config.clone();
    Replica::start(shutdown, |shutdown| run(config, clock, shutdown))
}

async fn run(config: Config, clock: Clock, shutdown: CancellationToken) -> anyhow::Result<()> {
    let deps = deps(&config, clock, connect(&config), &shutdown)?;
    tidelog_compactor::run(deps, shutdown).await
}

/// One for single runs, with what `change` makes of what it works with.
pub(crate) fn single(
    config: &Config,
    clock: Clock,
    shutdown: CancellationToken,
    change: impl FnOnce(&mut Deps),
) -> Compactor {
    let mut deps = deps(config, clock, connect(config), &shutdown).expect("a compactor");
    change(&mut deps);
    deps.compactor()
}

/// Works through all spaces once.
pub(crate) async fn sweep(config: &Config, clock: Clock) -> Swept {
    let (pool, stop) = (connect(config), CancellationToken::new());
    let compactor = deps(config, clock, pool.clone(), &stop).expect("a compactor").compactor();
    let swept = compactor.sweep(&stop, |_, _| {}).await.expect("a sweep");
    stop.cancel();
    pool.close().await;
    swept
}

fn deps(config: &Config, clock: Clock, pool: PgPool, stop: &CancellationToken) -> anyhow::Result<Deps> {
    let (schema, _watch) = SchemaWatch::start(&section(config, "schema"), stop.clone())?;
    Ok(Deps {
        pool,
        archive: Archive::open(&section(config, "archive"))?,
        schema,
        clock,
        config: section(config, "compactor"),
        retention: section(config, "retention"),
        readiness: Readiness::new(TOLERANCE),
    })
}
