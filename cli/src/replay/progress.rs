//! How far a replay is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

/// Lines that are printed where there is no terminal, over the whole replay.
const LINES: u64 = 10;

#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    done: AtomicU64,
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} events  {per_sec}  {eta}");
            ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, total, done: AtomicU64::new(0) }
    }

    /// So many more events are committed.
    pub(super) fn add(&self, events: u64) {
        let before = self.done.fetch_add(events, Ordering::Relaxed);
        let after = before + events;
        match &self.bar {
            Some(bar) => bar.set_position(after),
            None if after * LINES / self.total.max(1) > before * LINES / self.total.max(1) => {
                println!("{after} of {} events", self.total);
            }
            None => {}
        }
    }

    /// Clears the bar.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
