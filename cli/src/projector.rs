//! `tidelog projector`: work on read models that an operator asks for.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sqlx::PgPool;
use tidelog_events::id::SpaceId;
use tidelog_events::schema::Schema;
use tidelog_projector::{ProjectorConfig, Rebuilder};
use tidelog_runtime::config::{Config, SchemaConfig, Sources};
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_store::spaces;

use crate::stack_file::StackFile;
use crate::terminal::warn;

const SPACES_AT_ONCE: i64 = 1000;
const DATABASE_VARIABLE: &str = "TIDELOG__DATABASE__URL";
const SCHEMA_VARIABLE: &str = "TIDELOG__SCHEMA__FILE";

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
    let config = Config::load(&sources()?)?;
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

/// The configuration of this process; what it does not name is that of the stack that runs here.
fn sources() -> Result<Sources> {
    let mut sources = Sources::from_process();
    if sources.file.is_none() && !sources.environment.contains_key(DATABASE_VARIABLE) {
        let stack = StackFile::find()
            .with_context(|| format!("there is no database to work on; name one in {DATABASE_VARIABLE}"))?;
        sources.environment.insert(DATABASE_VARIABLE.to_owned(), stack.database_url);
        sources.environment.entry(SCHEMA_VARIABLE.to_owned()).or_insert(stack.schema_file);
    }
    Ok(sources)
}

fn schema(config: &Config) -> Result<Schema> {
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
        match rebuilt.applied {
            None => println!("{space}: rebuilt by the projector, which was at it"),
            Some(applied) => println!(
                "{space}: {applied} events folded with schema version {} in {:.2} s",
                self.schema.version(),
                started.elapsed().as_secs_f32()
            ),
        }
        Ok(())
    }
}
