//! The app's schema in force: read once at start, then followed as the file's content changes. A version that would
//! break what is in the log is refused and the old one stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidelog_events::schema::{Schema, SchemaError, compatibility};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::SchemaConfig;

/// There is no schema to start with.
#[derive(Debug, thiserror::Error)]
pub enum SchemaWatchError {
    /// The file cannot be read.
    #[error("schema file {} cannot be read", path.display())]
    Unreadable {
        /// `schema.file`.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no schema.
    #[error("schema file {} is not valid", path.display())]
    Invalid {
        /// `schema.file`.
        path: PathBuf,
        /// Where and why.
        source: SchemaError,
    },
}

/// Why a new content of the file was not taken.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("it is not valid: {0}")]
    Invalid(#[from] SchemaError),
    #[error("it may not follow the one in use: {0}")]
    Breaks(String),
}

/// Follows the schema file.
pub struct SchemaWatch {
    path: PathBuf,
    /// The content that was last judged, so that each is judged, and complained about, once.
    judged: String,
    current: watch::Sender<Arc<Schema>>,
    unreadable: bool,
}

impl SchemaWatch {
    /// Reads the schema and follows its file until `shutdown`. The receiver always holds the schema in force.
    ///
    /// # Errors
    /// The file cannot be read or is no schema: a service cannot start without one.
    pub fn start(
        config: &SchemaConfig,
        shutdown: CancellationToken,
    ) -> Result<(watch::Receiver<Arc<Schema>>, JoinHandle<()>), SchemaWatchError> {
        let path = config.file.clone();
        let text = std::fs::read_to_string(&path)
            .map_err(|source| SchemaWatchError::Unreadable { path: path.clone(), source })?;
        let schema = Schema::parse(&text)
            .map_err(|source| SchemaWatchError::Invalid { path: path.clone(), source })?;
        report(&path, &schema);
        let (current, receiver) = watch::channel(Arc::new(schema));
        let mut watch = Self { path, judged: text, current, unreadable: false };
        let mut ticks = interval(config.watch_interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let task = tokio::spawn(async move {
            while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
                watch.look().await;
            }
        });
        Ok((receiver, task))
    }

    /// Compares the content, not the file's time: a ConfigMap is swapped by a symbolic link.
    async fn look(&mut self) {
        let text = match tokio::fs::read_to_string(&self.path).await {
            Ok(text) => text,
            Err(error) => {
                if !std::mem::replace(&mut self.unreadable, true) {
                    tracing::error!(path = %self.path.display(), %error, "the schema file cannot be read; \
                         the schema in use stays");
                }
                return;
            }
        };
        self.unreadable = false;
        if text == self.judged {
            return;
        }
        let verdict = judge(&self.current.borrow(), &text);
        self.judged = text;
        match verdict {
            Ok(Some(schema)) => {
                report(&self.path, &schema);
                self.current.send_replace(Arc::new(schema));
            }
            Ok(None) => {}
            Err(refusal) => {
                ::metrics::counter!("tidelog_schema_refusals_total").increment(1);
                tracing::error!(path = %self.path.display(), %refusal, "the new schema is not taken; \
                     the schema in use stays");
            }
        }
    }
}

/// The schema to change to; nothing if the content means the same as what is in use (a comment was edited, or a
/// refused change was taken back).
fn judge(current: &Schema, text: &str) -> Result<Option<Schema>, Refusal> {
    let new = Schema::parse(text)?;
    let breakages = compatibility::check(current, &new);
    if !breakages.is_empty() {
        let list: Vec<_> = breakages.iter().map(ToString::to_string).collect();
        return Err(Refusal::Breaks(list.join("; ")));
    }
    // Nothing is broken and the version is the same: then nothing has changed.
    Ok((new.version() > current.version()).then_some(new))
}

fn report(path: &Path, schema: &Schema) {
    ::metrics::gauge!("tidelog_schema_version").set(f64::from(schema.version()));
    tracing::info!(path = %path.display(), version = schema.version(), "schema in use");
}

#[cfg(test)]
mod tests;
