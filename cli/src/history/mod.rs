//! `tidelog history`: every event of a space, those that were pruned with those that were not.

mod event;

use std::io::Write;
use std::ops::RangeInclusive;

use anyhow::{Context, Result, ensure};
use tidelog_archive::{Archive, History, Source};
use tidelog_events::frame::{Decoder, SegmentBody};
use tidelog_events::id::{DeviceId, Position, SpaceId};
use tidelog_runtime::config::Config;
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_store::segments::Segment;
use tidelog_store::spaces;

use crate::stack_file::configured_or_running;
use crate::terminal::shows_colours;
use event::{Event, EventLine};

/// What a segment decodes to, at most: far above what is ever written.
const SEGMENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Options of `tidelog history`.
#[derive(Debug, Clone, clap::Args)]
pub struct HistoryOptions {
    /// The space
    #[arg(value_name = "SPACE")]
    pub space: SpaceId,
    /// The first position
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub from: u64,
    /// The last position; otherwise all there are
    #[arg(long, value_name = "N")]
    pub to: Option<u64>,
    /// Only events of this device
    #[arg(long, value_name = "ID")]
    pub device: Option<DeviceId>,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub event_type: Option<String>,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    pub json: bool,
}

/// Prints what the configured database and archive have of the space, or those of the stack that runs here.
pub async fn run(options: HistoryOptions) -> Result<()> {
    let config = Config::load(&configured_or_running()?)?;
    let database: DatabaseConfig = config.section("database")?;
    let pool = database::connect(&database, "tidelog-history")?;
    let archive = Archive::open(&config.section("archive")?)?;
    let found = spaces::find(&mut *pool.acquire().await?, &options.space).await?;
    ensure!(found.is_some(), "there is no space {}: nothing was ever pushed to it", options.space);
    let mut out = std::io::stdout().lock();
    write(&History::new(pool, archive), &options, shows_colours(), &mut out).await
}

/// Writes the events that the options ask for. Nobody reading any more is no error.
pub async fn write(
    history: &History,
    options: &HistoryOptions,
    colours: bool,
    out: &mut impl Write,
) -> Result<()> {
    let mut printer = Printer { options, colours, decoder: Decoder::new()? };
    let mut reader = history.behind(&options.space, Position(options.from.saturating_sub(1)));
    while reader.cursor().0 < *options.positions().end() {
        let Some(chunk) = reader.next_chunk().await? else { break };
        for segment in &chunk.segments {
            let text = printer.text(chunk.source, segment);
            let text = text.with_context(|| format!("the segment from {} on", segment.header.first))?;
            if out.write_all(&text).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl HistoryOptions {
    fn positions(&self) -> RangeInclusive<u64> {
        self.from..=self.to.unwrap_or(u64::MAX)
    }

    fn wants_device(&self, device: &DeviceId) -> bool {
        self.device.as_ref().is_none_or(|wanted| wanted == device)
    }
}

struct Printer<'a> {
    options: &'a HistoryOptions,
    colours: bool,
    decoder: Decoder,
}

impl Printer<'_> {
    /// The wanted events of a segment, which is decoded only where it may have any.
    fn text(&mut self, source: Source, segment: &Segment) -> Result<Vec<u8>> {
        let (options, header, mut text) = (self.options, &segment.header, Vec::new());
        if !header.batches.iter().any(|batch| options.wants_device(&batch.device_id)) {
            return Ok(text);
        }
        let body = self.decoder.decode_one(&segment.frame, SEGMENT_BYTES_MAX)?;
        let lines = SegmentBody::split(&body, header.first, header.last)?.events;
        for (position, line) in (header.first.0..).zip(lines) {
            let batch = header.batch_at(Position(position)).context("no batch has its first event")?;
            if !options.positions().contains(&position) || !options.wants_device(&batch.device_id) {
                continue;
            }
            let content = EventLine::parse(line).context("an event line is damaged")?;
            if options.event_type.as_ref().is_none_or(|wanted| *wanted == content.event_type) {
                let event = Event { position: Position(position), source, batch, line, content };
                if options.json {
                    event.append_json(&mut text)?;
                } else {
                    event.append_line(&mut text, self.colours);
                }
            }
        }
        Ok(text)
    }
}
