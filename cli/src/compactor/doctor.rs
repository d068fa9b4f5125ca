//! `tidelog compactor doctor`: compares a space's read model with its log, tells the differences, and rebuilds where it
//! is told to.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use sqlx::PgPool;
use tidelog_compactor::{Compactor, Verdict};
use tidelog_events::id::SpaceId;
use tidelog_events::schema::Schema;
use tidelog_projector::{ProjectorConfig, Rebuilder};
use tidelog_runtime::config::Config;
use tidelog_runtime::database::DatabaseConfig;
use tidelog_store::{compactions, projections, spaces};

use super::findings::{Findings, Treated};

/// Options of `tidelog compactor doctor`.
#[derive(Debug, Clone, clap::Args)]
pub struct DoctorOptions {
    /// The space
    #[arg(value_name = "SPACE")]
    pub space: SpaceId,
    /// Rebuild the read model where it is not what the log says, without asking
    #[arg(long)]
    pub rebuild: bool,
    /// Print one JSON object instead of text, and ask nothing
    #[arg(long)]
    pub json: bool,
}

/// Examines a space with what the configuration names. An error where the read model is not what the log says, and was
/// not made so.
pub(super) async fn run(config: &Config, options: DoctorOptions) -> Result<()> {
    let doctor = Doctor::new(config)?;
    let (space, json) = (&options.space, options.json);
    let found = doctor.examine(space).await?;
    if !json {
        print!("{found}");
    }
    let treat = !found.is_well() && (options.rebuild || (!json && asks(space)?));
    let treated = if treat { Some(doctor.treat(config, space).await?) } else { None };
    if json {
        println!("{}", found.json(treated.as_ref()));
    } else if let Some(treated) = &treated {
        print!("{treated}");
    }
    match treated.as_ref().map_or(&found.verdict, |treated| &treated.verdict) {
        Verdict::Equal { .. } => Ok(()),
        Verdict::NotComparable { reason } => {
            bail!("the read model of {space} could not be compared: {reason}")
        }
        Verdict::Different { .. } => bail!("the read model of {space} is not what its log says"),
    }
}

/// Asks on a terminal whether to rebuild; elsewhere nobody could answer.
fn asks(space: &SpaceId) -> Result<bool> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Ok(false);
    }
    print!("Rebuild the read model of {space} now? Reads and writes go on meanwhile. [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_lowercase().starts_with('y'))
}

struct Doctor {
    compactor: Compactor,
    pool: PgPool,
    schema: Arc<Schema>,
}

impl Doctor {
    fn new(config: &Config) -> Result<Self> {
        let (compactor, pool, schema) = super::compactor(config)?;
        Ok(Self { compactor, pool, schema })
    }

    async fn examine(&self, space: &SpaceId) -> Result<Findings> {
        let mut connection = self.pool.acquire().await?;
        let log = spaces::find(&mut connection, space).await?;
        let log = log.with_context(|| format!("there is no space {space}: nothing was ever pushed to it"))?;
        let projection = projections::find(&mut connection, space).await?;
        let refused_at =
            compactions::refusal(&mut connection, space).await?.map(|(refused_at, _)| refused_at);
        drop(connection);
        Ok(Findings { log, projection, refused_at, verdict: self.compare(space).await? })
    }

    async fn compare(&self, space: &SpaceId) -> Result<Verdict> {
        self.compactor.examine(space).await.with_context(|| format!("{space} cannot be examined"))
    }

    /// Rebuilds, and compares again.
    async fn treat(&self, config: &Config, space: &SpaceId) -> Result<Treated> {
        let projector: ProjectorConfig = config.section("projector")?;
        let deadline = config.section::<DatabaseConfig>("database")?.statement_deadline();
        let mut rebuilder = Rebuilder::new(self.pool.clone(), projector.measure(), deadline)?;
        let rebuilt = rebuilder.rebuild(space, &self.schema).await;
        let rebuilt = rebuilt.with_context(|| format!("{space} cannot be rebuilt"))?;
        Ok(Treated { rebuilt, verdict: self.compare(space).await? })
    }
}
