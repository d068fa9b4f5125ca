//! `tidelog projector`: work on read models that an operator asks for.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sqlx::PgPool;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::Schema;
use tidelog_projector::{ProjectorConfig, Rebuilder, Rebuilt};
use tidelog_runtime::config::{Config, SchemaConfig};
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_store::spaces;

use crate::stack_file::configured_or_running;
use crate::terminal::warn;

const SPACES_AT_ONCE: i64 = 1000;

/// What can be done.
#[derive(Debug, clap::Subcommand)]
pub enum ProjectorCommand {
    /// Fold the log of a space, or of every space, anew beside its read model, then switch
    ///
    /// Reads and writes go on meanwhile, and so may the projector. Uses the stack that runs here, unless the
    /// configuration names a database.
    Rebuild {
        /// Only this space
        #[arg(value_name = "SPACE")]
        space: Option<SpaceId>,
    },
}

/// Does it.
pub async fn run(command: ProjectorCommand) -> Result<()> {
    let ProjectorCommand::Rebuild { space } = command;
    let config = Config::load(&configured_or_running()?)?;
    let database: DatabaseConfig = config.section("database")?;
    let pool = database::connect(&database, "tidelog-projector-rebuild")?;
    let projector: ProjectorConfig = config.section("projector")?;
    let rebuilder = Rebuilder::new(pool.clone(), projector.measure(), database.statement_deadline())?;
    let mut rebuild = Rebuild { rebuilder, schema: schema(&config)?, pool };
    match space {
        Some(space) => rebuild.existing(&space).await,
        None => rebuild.every().await,
    }
}

/// The schema that the configuration names.
pub(crate) fn schema(config: &Config) -> Result<Schema> {
    let file = config.section::<SchemaConfig>("schema")?.file;
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Schema::parse(&text).with_context(|| format!("{} is not valid", file.display()))
}

struct Rebuild {
    rebuilder: Rebuilder,
    schema: Schema,
    pool: PgPool,
}

impl Rebuild {
    async fn existing(&mut self, space: &SpaceId) -> Result<()> {
        let found = spaces::find(&mut *self.pool.acquire().await?, space).await?;
        ensure!(found.is_some(), "there is no space {space}: nothing was ever pushed to it");
        self.one(space).await
    }

    async fn every(&mut self) -> Result<()> {
        let (started, mut count, mut failed) = (Instant::now(), 0, 0);
        let mut after = String::new();
        loop {
            let page = spaces::list(&mut *self.pool.acquire().await?, &after, SPACES_AT_ONCE).await?;
            let Some(last) = page.last() else { break };
            last.space.as_str().clone_into(&mut after);
            for space in &page {
                match self.one(&space.space).await {
                    Ok(()) => count += 1,
                    Err(error) => {
                        warn(space.space.as_str(), &format!("{error:#}"));
                        failed += 1;
                    }
                }
            }
        }
        println!("{count} spaces rebuilt in {:.1} s", started.elapsed().as_secs_f32());
        ensure!(failed == 0, "{failed} spaces could not be rebuilt: see above; what was there is still read");
        Ok(())
    }

    async fn one(&mut self, space: &SpaceId) -> Result<()> {
        let started = Instant::now();
        let rebuilt = self.rebuilder.rebuild(space, &self.schema).await;
        let rebuilt = rebuilt.with_context(|| format!("cannot rebuild {space}"))?;
        let Rebuilt { applied, snapshot } = rebuilt;
        let Some(applied) = applied else {
            println!("{space}: rebuilt by the projector, which was at it");
            return Ok(());
        };
        let events = applied.0 - snapshot.0;
        let base = match snapshot {
            Position::ZERO => String::new(),
            through => format!(" behind the snapshot through {through}"),
        };
        let (version, seconds) = (self.schema.version(), started.elapsed().as_secs_f32());
        println!("{space}: {events} events folded{base} with schema version {version} in {seconds:.2} s");
        Ok(())
    }
}
