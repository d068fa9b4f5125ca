//! `tidelog inspect`: a space as support sees it, in a terminal: where its log stands, why each device does not sync, what
//! lies in quarantine, and the last events.

mod device;
mod lines;
mod seen;
mod source;

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tidelog_events::id::{Position, SpaceId};
use tidelog_runtime::clock::Clock;
use tidelog_runtime::shutdown;

use crate::stack_file::StackFile;
use crate::terminal::{shows_colours, warn};
use lines::Shown;
use seen::{Inspected, Page, ShownEvent, read};
use source::Source;

/// Devices that are shown, at most: those of the largest page.
const DEVICES: &str = "200";
/// What is shown of quarantine, at most: the largest page.
const QUARANTINED: &str = "100";
/// Events that one look for new ones shows, at most; the next look shows what comes behind them.
const FOLLOWED: &str = "1000";
/// How often it is looked for new events.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Options of `tidelog inspect`.
#[derive(Debug, Clone, clap::Args)]
pub struct InspectOptions {
    /// The space
    #[arg(value_name = "SPACE")]
    pub space: SpaceId,
    /// How many of the last events are shown
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub events: u64,
    /// Go on with what comes, until Ctrl-C. Each look is a call that the audit records
    #[arg(long, conflicts_with = "json")]
    pub follow: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Address of the admin API; otherwise that of the stack that runs here
    #[arg(long, value_name = "URL", requires = "token")]
    pub url: Option<String>,
    /// A token with the scope `admin:read` or `admin`
    #[arg(long, value_name = "JWT", env = "TIDELOG_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// Shows what the admin API says of the space.
pub async fn run(options: InspectOptions) -> Result<()> {
    let source = source(&options)?;
    let inspected = inspect(&source, &options.space, options.events).await?;
    print(&shown(&inspected, options.json, shows_colours())?)?;
    if options.follow { follow(&source, &options.space, &inspected).await } else { Ok(()) }
}

/// What is shown of the space just now.
pub async fn text(options: &InspectOptions, colours: bool) -> Result<String> {
    let inspected = inspect(&source(options)?, &options.space, options.events).await?;
    shown(&inspected, options.json, colours)
}

fn shown(inspected: &Inspected, json: bool, colours: bool) -> Result<String> {
    if json {
        return Ok(serde_json::to_string_pretty(inspected)? + "\n");
    }
    Shown { colours, now: Clock::system().now() }.inspected(inspected)
}

fn source(options: &InspectOptions) -> Result<Source> {
    if let (Some(url), Some(token)) = (&options.url, &options.token) {
        return Source::new(url, token.clone());
    }
    let stack = StackFile::find().context("name an admin API with --url and --token")?;
    Source::new(&stack.admin_url, options.token.clone().unwrap_or(stack.admin_token))
}

async fn inspect(source: &Source, space: &SpaceId, events: u64) -> Result<Inspected> {
    let id = space.as_str();
    let of_quarantine = [("space", id), ("dismissed", "all"), ("limit", QUARANTINED)];
    let limit = events.to_string();
    Ok(Inspected {
        space: found(source, space, &["spaces", id], &[]).await?,
        devices: found(source, space, &["spaces", id, "devices"], &[("limit", DEVICES)]).await?,
        quarantine: found(source, space, &["quarantine"], &of_quarantine).await?,
        events: log(source, space, &[("order", "-position"), ("limit", &limit)]).await?,
    })
}

/// The space's events of log and archive: quarantine, which has a list of its own, would stand before the last of them.
async fn log(source: &Source, space: &SpaceId, page: &[(&str, &str)]) -> Result<Value> {
    let query = [page, &[("quarantined", "without")]].concat();
    found(source, space, &["spaces", space.as_str(), "events"], &query).await
}

async fn found(source: &Source, space: &SpaceId, path: &[&str], query: &[(&str, &str)]) -> Result<Value> {
    source.get(path, query).await?.with_context(|| format!("there is no space {space}"))
}

/// Shows events as they come.
async fn follow(source: &Source, space: &SpaceId, inspected: &Inspected) -> Result<()> {
    let stop = shutdown::on_signal()?;
    let shown = Shown { colours: shows_colours(), now: Clock::system().now() };
    let mut seen = last_position(&read(&inspected.events)?).unwrap_or(Position::ZERO);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        match events_behind(source, space, seen).await {
            Ok(page) => {
                seen = last_position(&page).unwrap_or(seen);
                print(&shown.in_order(page))?;
            }
            Err(error) => warn("inspect", &format!("{error:#}; trying again")),
        }
    }
    Ok(())
}

async fn events_behind(source: &Source, space: &SpaceId, seen: Position) -> Result<Page<ShownEvent>> {
    let from = seen.next().to_string();
    read(&log(source, space, &[("from", &from), ("limit", FOLLOWED)]).await?)
}

fn last_position(page: &Page<ShownEvent>) -> Option<Position> {
    page.items.iter().map(|event| Position(event.position)).max()
}

/// Nobody reading any more is no error.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
