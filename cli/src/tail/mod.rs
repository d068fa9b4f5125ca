//! `tidelog tail`: the committed event stream for people, newest at the bottom.

mod line;
mod pull;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tidelog_events::id::{Position, SpaceId};
use tokio::time::sleep;

use crate::stack_file::StackFile;
use crate::terminal::{shows_colours, warn};
use crate::token::{Access, Claims};
use line::Printer;
use pull::Source;

/// Events of each space that are shown when the command begins, unless `--after` says otherwise.
const RECENT: u64 = 10;
/// How often the spaces' heads are looked at when all spaces are shown.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const RETRY_AFTER: Duration = Duration::from_secs(1);
const SPACES_AT_ONCE: i64 = 1000;
const TOKEN_HOURS: u64 = 30 * 24;

/// Options of `tidelog tail`.
#[derive(Debug, clap::Args)]
pub struct TailOptions {
    /// Only this space
    #[arg(long, value_name = "ID")]
    space: Option<SpaceId>,
    /// Begin behind this position, 0 for the first event; otherwise with the last few events
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// Go on with what comes (the default)
    #[arg(long, overrides_with = "no_follow")]
    follow: bool,
    /// Stop at the end of the log
    #[arg(long)]
    no_follow: bool,
}

/// Shows the events of the stack that runs here.
pub async fn run(options: TailOptions) -> Result<()> {
    let stack = StackFile::find()?;
    let token = Claims::new("tail", TOKEN_HOURS).with_space("*", Access::R).sign(&stack.jwt_secret)?;
    let source = Source::new(&stack.gateway_url, token)?;
    let follow = !options.no_follow;
    match options.space {
        Some(space) => one_space(&source, &space, options.after, follow).await,
        None => all_spaces(&source, &stack.database_url, options.after, follow).await,
    }
}

/// One space by long polls.
async fn one_space(source: &Source, space: &SpaceId, after: Option<u64>, follow: bool) -> Result<()> {
    let printer = Printer { with_space: false, colours: shows_colours() };
    let mut cursor = match after {
        Some(after) => Position(after),
        None => recent(source.head(space).await?),
    };
    loop {
        match source.pull(space, cursor, follow).await {
            Ok(pulled) => {
                printer.print(space, &pulled);
                cursor = pulled.cursor;
                if !follow && !pulled.more {
                    return Ok(());
                }
            }
            Err(error) if follow => again(&error).await,
            Err(error) => return Err(error),
        }
    }
}

/// All spaces: their heads say where there is something to pull.
async fn all_spaces(source: &Source, database_url: &str, after: Option<u64>, follow: bool) -> Result<()> {
    let printer = Printer { with_space: true, colours: shows_colours() };
    let pool = PgPoolOptions::new().max_connections(1).connect(database_url).await.context(
        "cannot read the spaces from PostgreSQL: is the stack running? Else name one with --space",
    )?;
    let mut cursors = BTreeMap::new();
    let mut first_look = true;
    loop {
        match heads(&pool).await {
            Ok(heads) => {
                for (space, head) in heads {
                    // A space that appears later is new, and shown from its first event.
                    let begin =
                        || after.map_or(if first_look { recent(head) } else { Position::ZERO }, Position);
                    let cursor = cursors.entry(space.clone()).or_insert_with(begin);
                    catch_up(source, &printer, &space, head, cursor, follow).await?;
                }
                first_look = false;
            }
            Err(error) if follow => again(&error).await,
            Err(error) => return Err(error),
        }
        if !follow {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn catch_up(
    source: &Source,
    printer: &Printer,
    space: &SpaceId,
    head: Position,
    cursor: &mut Position,
    follow: bool,
) -> Result<()> {
    while *cursor < head {
        match source.pull(space, *cursor, false).await {
            // Nothing there yet: the next look comes soon.
            Ok(pulled) if pulled.cursor <= *cursor => return Ok(()),
            Ok(pulled) => {
                printer.print(space, &pulled);
                *cursor = pulled.cursor;
            }
            Err(error) if follow => {
                again(&error).await;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn heads(pool: &PgPool) -> Result<Vec<(SpaceId, Position)>> {
    let mut connection = pool.acquire().await.context("PostgreSQL is away")?;
    let mut heads = Vec::new();
    loop {
        let after =
            heads.last().map(|(space, _): &(SpaceId, Position)| space.to_string()).unwrap_or_default();
        let page = tidelog_store::spaces::list(&mut connection, &after, SPACES_AT_ONCE).await?;
        let last_page = (page.len() as i64) < SPACES_AT_ONCE;
        heads.extend(page.into_iter().map(|space| (space.space, space.head)));
        if last_page {
            return Ok(heads);
        }
    }
}

fn recent(head: Position) -> Position {
    Position(head.0.saturating_sub(RECENT))
}

async fn again(error: &anyhow::Error) {
    warn("tail", &format!("{error:#}; trying again"));
    sleep(RETRY_AFTER).await;
}
