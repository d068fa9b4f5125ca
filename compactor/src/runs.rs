//! Events of the log as folded runs: entities in order of their keys, in memory as long as there is one run, in files
//! where there are more. Since the fold is a join, merging the runs gives what folding all the events at once would:
//! an external merge sort, with the merge rules of the schema for what meets under one key.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, btree_map};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Lines, Seek, Write};
use std::path::{Path, PathBuf};

use tidelog_events::fold::{DamagedLine, Delta, Entity, EntityKey};
use tidelog_events::schema::Schema;

/// Files that are open at once; beyond it they are merged into one.
const FILES_MAX: usize = 64;
/// Bytes that are read and written at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// A file of a run that cannot be written, or does not hold what was written to it.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The work folder.
    #[error("the work folder cannot be used")]
    Io(#[from] std::io::Error),
    /// A line of a file.
    #[error("a file of the work folder was changed")]
    Line(#[from] DamagedLine),
}

/// Runs that are being made.
#[derive(Debug)]
pub(crate) struct Runs {
    folder: PathBuf,
    in_memory: Option<BTreeMap<EntityKey, Entity>>,
    files: Vec<File>,
}

impl Runs {
    /// None yet. Files will stand in that folder, without a name.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), in_memory: None, files: Vec::new() }
    }

    /// Adds what some events amount to.
    pub(crate) fn add(&mut self, delta: Delta, schema: &Schema) -> Result<(), RunError> {
        let entities = delta.entities.into_iter().map(|(key, touched)| (key, touched.entity));
        let before = self.in_memory.replace(entities.collect());
        if let Some(run) = before {
            self.files.push(write(&self.folder, run.into_iter().map(Ok))?);
        }
        if self.files.len() >= FILES_MAX {
            let merged = MergedRuns::of(None, std::mem::take(&mut self.files), schema)?;
            self.files.push(write(&self.folder, merged)?);
        }
        Ok(())
    }

    /// Everything that was added, each entity once, in order of keys.
    pub(crate) fn merged(self, schema: &Schema) -> Result<MergedRuns<'_>, RunError> {
        MergedRuns::of(self.in_memory, self.files, schema)
    }
}

/// Writes a run to a file that goes with its last handle.
fn write(
    folder: &Path,
    run: impl Iterator<Item = Result<(EntityKey, Entity), RunError>>,
) -> Result<File, RunError> {
    let mut lines = BufWriter::with_capacity(BUFFER_BYTES, tempfile::tempfile_in(folder)?);
    for entity in run {
        let (key, entity) = entity?;
        writeln!(lines, "{}", entity.line(&key))?;
    }
    let mut file = lines.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

/// One run on its way out.
enum Source {
    Memory(btree_map::IntoIter<EntityKey, Entity>),
    File(Lines<BufReader<File>>),
}

impl Source {
    fn next(&mut self, schema: &Schema) -> Result<Option<(EntityKey, Entity)>, RunError> {
        match self {
            Self::Memory(run) => Ok(run.next()),
            Self::File(lines) => match lines.next() {
                Some(line) => Ok(Some(Entity::from_line(&line?, schema)?)),
                None => Ok(None),
            },
        }
    }
}

/// Entities of several runs, in order of their keys; those of one key are merged.
pub(crate) struct MergedRuns<'s> {
    schema: &'s Schema,
    sources: Vec<Source>,
    /// The next entity of each source that has one.
    fronts: Vec<Option<Entity>>,
    /// Their keys, each with the number of its source.
    keys: BinaryHeap<Reverse<(EntityKey, usize)>>,
}

impl<'s> MergedRuns<'s> {
    fn of(
        in_memory: Option<BTreeMap<EntityKey, Entity>>,
        files: Vec<File>,
        schema: &'s Schema,
    ) -> Result<Self, RunError> {
        let memory = in_memory.map(|run| Source::Memory(run.into_iter()));
        let files =
            files.into_iter().map(|file| Source::File(BufReader::with_capacity(BUFFER_BYTES, file).lines()));
        let sources: Vec<_> = memory.into_iter().chain(files).collect();
        let fronts = sources.iter().map(|_| None).collect();
        let mut merged = Self { schema, sources, fronts, keys: BinaryHeap::new() };
        for source in 0..merged.sources.len() {
            merged.pull(source)?;
        }
        Ok(merged)
    }

    /// The key of the next entity.
    pub(crate) fn next_key(&self) -> Option<&EntityKey> {
        self.keys.peek().map(|Reverse((key, _))| key)
    }

    /// Brings a source's next entity to its front.
    fn pull(&mut self, source: usize) -> Result<(), RunError> {
        if let Some((key, entity)) = self.sources[source].next(self.schema)? {
            self.fronts[source] = Some(entity);
            self.keys.push(Reverse((key, source)));
        }
        Ok(())
    }

    /// The next entity.
    pub(crate) fn next_entity(&mut self) -> Result<Option<(EntityKey, Entity)>, RunError> {
        let Some(Reverse((key, source))) = self.keys.pop() else { return Ok(None) };
        let mut entity = self.fronts[source].take().unwrap_or_default();
        self.pull(source)?;
        while self.next_key() == Some(&key) {
            let Some(Reverse((_, source))) = self.keys.pop() else { break };
            if let Some(other) = self.fronts[source].take() {
                entity.merge(other, self.schema.entity(&key.entity_type));
            }
            self.pull(source)?;
        }
        Ok(Some((key, entity)))
    }
}

impl Iterator for MergedRuns<'_> {
    type Item = Result<(EntityKey, Entity), RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entity().transpose()
    }
}

#[cfg(test)]
mod tests;
