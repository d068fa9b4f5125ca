//! `tidelog device`: looks into the store of a device.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use tidelog_client::inspect::{Inspector, Sight};
use tidelog_events::id::SpaceId;
use tidelog_runtime::shutdown;

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Commands about a device.
#[derive(Debug, clap::Subcommand)]
pub enum DeviceCommand {
    /// Show what was recorded on a device and what became of it (✅ synced, ⏳ pending, ⚠ quarantined), its clock, its
    /// cursor and its queue. Reads only; the app may have the store open
    Inspect(InspectOptions),
}

/// Options of `tidelog device inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectOptions {
    /// The store's SQLite file; of a copy, with the file `-wal` beside it that the app's open store has
    file: PathBuf,
    /// Only this space
    #[arg(long)]
    space: Option<SpaceId>,
    /// Go on with what is new or has changed, until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(command: DeviceCommand) -> Result<()> {
    let DeviceCommand::Inspect(options) = command;
    let stop = shutdown::on_signal()?;
    let mut follow = Inspector::new(&options.file, options.space.clone()).follow(LOOK_EVERY);
    let mut introduced = options.json;
    let mut has_caught_up = false;
    while let Some(look) = stop.run_until_cancelled(follow.next()).await {
        let look = look?;
        let mut text = String::new();
        if !std::mem::replace(&mut introduced, true) {
            writeln!(text, "the store of {}, app {}", look.bound.user, look.bound.app)?;
        }
        for sight in &look.sights {
            match sight {
                sight if options.json => writeln!(text, "{}", serde_json::to_string(sight)?)?,
                Sight::Space(standing) if !has_caught_up => writeln!(text, "{standing:#}")?,
                sight => writeln!(text, "{sight}")?,
            }
        }
        if std::io::stdout().write_all(text.as_bytes()).is_err() {
            // Nobody reads any more.
            return Ok(());
        }
        has_caught_up |= look.complete;
        if has_caught_up && !options.follow {
            return Ok(());
        }
    }
    Ok(())
}
