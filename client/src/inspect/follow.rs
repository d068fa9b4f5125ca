//! What happens in a store, as a stream.

use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::{InspectError, Inspector, Look};

/// What is new in a store, as it comes. It has no end: whoever has seen enough drops it.
#[derive(Debug)]
pub struct Follow {
    every: Duration,
    /// The inspector, between looks.
    idle: Option<Inspector>,
    /// The look that is being taken. A caller who stops waiting for it finds it here the next time.
    looking: Option<JoinHandle<(Inspector, Result<Look, InspectError>)>>,
    has_looked: bool,
}

impl Follow {
    pub(super) fn new(inspector: Inspector, every: Duration) -> Self {
        Self { every, idle: Some(inspector), looking: None, has_looked: false }
    }

    /// The first look, whatever it finds; then the next one that finds something. Files are read off the async threads.
    ///
    /// # Errors
    /// When the file cannot be read; the next call looks again.
    pub async fn next(&mut self) -> Result<Look, InspectError> {
        loop {
            let look = self.look().await?;
            if !look.sights.is_empty() || !self.has_looked {
                self.has_looked = true;
                return Ok(look);
            }
            sleep(self.every).await;
        }
    }

    async fn look(&mut self) -> Result<Look, InspectError> {
        if let Some(mut inspector) = self.idle.take() {
            self.looking = Some(spawn_blocking(move || {
                let look = inspector.look();
                (inspector, look)
            }));
        }
        let Some(looking) = &mut self.looking else { return Err(InspectError::Ended) };
        let looked = looking.await;
        self.looking = None;
        let (inspector, look) = looked.map_err(|_| InspectError::Ended)?;
        self.idle = Some(inspector);
        look
    }
}
