//! Spaces as a whole: their history from archive and log, and their read models, beside what was pushed.

use anyhow::{Context, Result, ensure};
use tidelog_archive::{Archive, ArchiveConfig, History};
use tidelog_events::frame::{Decoder, SegmentBody};
use tidelog_events::id::Position;
use tidelog_runtime::config::Config;
use tidelog_store::{entities, projections};
use tokio::task::spawn_blocking;

use super::super::beside::Beside;
use super::super::pull::DECODED_MAX;
use super::super::reader::{Observation, Seen};
use super::pushed::{self, Pushed};
use super::readers::Library;

/// Where history is read.
pub(super) fn history(beside: &Beside, library: &Library) -> Result<History> {
    let config: ArchiveConfig = Config::load(&beside.sources)?.section("archive")?;
    Ok(History::new(library.target.pool.clone(), Archive::open(&config)?))
}

/// What a space's history amounts to.
pub(super) async fn read_history(history: &History, library: &Library, space: usize) -> Result<Observation> {
    let (mut seen, mut decoder) = (Seen::default(), Decoder::new()?);
    let mut reader = history.behind(&library.spaces[space], Position::ZERO);
    while let Some(chunk) = reader.next_chunk().await? {
        for segment in chunk.segments {
            let header = &segment.header;
            let body = decoder.decode_one(&segment.frame, DECODED_MAX)?;
            let lines = SegmentBody::split(&body, header.first, header.last)?;
            let events = (header.first.0..).map(Position).zip(lines.events);
            seen.segment(header, events, &library.schema)?;
        }
    }
    Ok(seen.observe())
}

/// Compares what was seen of a space, and its read model, with what was pushed; returns how many entities it has.
pub(super) async fn compare(
    library: &Library,
    space: usize,
    batches: Vec<Pushed>,
    observations: Vec<Observation>,
) -> Result<u64> {
    let (id, schema) = (&library.spaces[space], library.schema.clone());
    let compared = spawn_blocking(move || pushed::compare(&batches, &observations, &schema)).await?;
    let mut truth = compared.with_context(|| format!("somebody has seen another space {id}"))?;
    let mut connection = library.target.pool.acquire().await?;
    let model = projections::find(&mut connection, id).await?.context("a space has no read model")?;
    let observation = truth.observe();
    ensure!(
        (model.applied, &model.state_hash) == (observation.through, &observation.state),
        "the read model of {id} is not what was pushed"
    );
    let lines = entities::all_lines(&mut connection, id, model.generation).await?;
    ensure!(truth.state.lines().eq(lines), "entities of {id} are not what was pushed");
    Ok(truth.state.entities().len() as u64)
}
