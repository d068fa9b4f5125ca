//! `tidelog compactor run`: merges and prunes what is due, and says of each space what was done.

use std::error::Error;
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use tidelog_compactor::{CompactError, Compactor, Outcome, Pruning, Verdict};
use tidelog_events::id::SpaceId;
use tidelog_runtime::config::Config;
use tidelog_runtime::shutdown;
use tokio_util::sync::CancellationToken;

/// Options of `tidelog compactor run`.
#[derive(Debug, Clone, clap::Args)]
pub struct SweepOptions {
    /// Only these spaces; otherwise every one that has something to compact
    #[arg(value_name = "SPACE")]
    pub spaces: Vec<SpaceId>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Does it, until all is done or Ctrl-C, with what the configuration names.
pub(super) async fn run(config: &Config, options: SweepOptions) -> Result<()> {
    let (compactor, _, _) = super::compactor(config)?;
    if options.dry_run {
        return plan(&compactor, &options.spaces).await;
    }
    let stop = shutdown::on_signal()?;
    let troubled = if options.spaces.is_empty() {
        sweep(&compactor, &stop).await?
    } else {
        compact(&compactor, &options.spaces, &stop).await
    };
    ensure!(troubled == 0, "{troubled} spaces could not be compacted: see above; nothing of them was pruned");
    Ok(())
}

async fn plan(compactor: &Compactor, spaces: &[SpaceId]) -> Result<()> {
    if spaces.is_empty() {
        compactor.dry_run(|space, plan| println!("{space}: {plan}")).await?;
    }
    for space in spaces {
        let plan = compactor.plan(space).await?;
        let plan = plan.ok_or_else(|| anyhow!("there is no space {space}: nothing was ever pushed to it"))?;
        println!("{space}: {plan}");
    }
    Ok(())
}

/// Returns how many spaces had trouble.
async fn sweep(compactor: &Compactor, stop: &CancellationToken) -> Result<u64> {
    let (started, mut troubled) = (Instant::now(), 0);
    let tell = |space: &SpaceId, outcome: &Result<Outcome, CompactError>| {
        let (line, fine) = told(outcome);
        troubled += u64::from(!fine);
        println!("{space}: {line}");
    };
    let swept = compactor.sweep(stop, tell).await?;
    println!(
        "{} segments merged into others, {} spaces pruned by {} events, {} archived, in {:.1} s",
        swept.merged,
        swept.pruned,
        swept.events,
        kilobytes(swept.archive_bytes),
        started.elapsed().as_secs_f32()
    );
    Ok(troubled)
}

/// The same of these spaces.
async fn compact(compactor: &Compactor, spaces: &[SpaceId], stop: &CancellationToken) -> u64 {
    let mut troubled = 0;
    for space in spaces {
        if stop.is_cancelled() {
            break;
        }
        let (line, fine) = told(&compactor.compact(space).await);
        troubled += u64::from(!fine);
        println!("{space}: {line}");
    }
    troubled
}

/// What was done with a space, and whether that is all as it should be.
fn told(outcome: &Result<Outcome, CompactError>) -> (String, bool) {
    let (merged, pruning) = match outcome {
        Ok(Outcome::Done { merged, pruning }) => (merged, pruning),
        Ok(Outcome::Elsewhere) => {
            return ("another compactor is at it, or there is no such space".into(), true);
        }
        Err(error) => return (causes(error), false),
    };
    let (pruned, fine) = match pruning {
        Pruning::Pruned(pruned) => (
            format!(
                "pruned through {} by {} events; snapshot of {} entities, {}; {} archived",
                pruned.through,
                pruned.events,
                pruned.entities,
                kilobytes(pruned.snapshot_bytes),
                kilobytes(pruned.archive_bytes)
            ),
            true,
        ),
        Pruning::Elsewhere => ("another compactor is at it now".into(), true),
        Pruning::Waits(why) => (format!("not pruned: {why}"), true),
        Pruning::Skips(position) => (
            format!(
                "not pruned: the fold skips the event at position {position}, and a later schema may not"
            ),
            true,
        ),
        Pruning::TooLarge { bytes_max } => (
            format!("not pruned: its state has more than {bytes_max} bytes, which no device takes at once"),
            false,
        ),
        Pruning::Refused(Verdict::NotComparable { reason }) => (format!("not pruned: {reason}"), true),
        Pruning::Refused(_) => (
            "not pruned: the read model is not what the log says; ask `tidelog compactor doctor`".into(),
            false,
        ),
    };
    (if *merged > 0 { format!("{merged} segments merged into others; {pruned}") } else { pruned }, fine)
}

fn causes(error: &CompactError) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.1} kB", bytes as f64 / 1e3)
}
