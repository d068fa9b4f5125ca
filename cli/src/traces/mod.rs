//! `tidelog traces`: a small collector of OTLP traces that shows each as a tree. For looking at one push without a tracing
//! system at hand; it keeps nothing.

mod collector;
mod tree;

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tokio::net::TcpListener;
use tokio::time::sleep;

pub use collector::{TraceCollector, TraceSpan};
pub use tree::tree;

/// A trace of which nothing came for so long is complete: services send what they have every second.
const QUIET: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(250);

/// What `tidelog traces` can be told.
#[derive(Debug, Args)]
pub struct TracesOptions {
    /// Where to listen; services send there with telemetry.otlp_endpoint=http://127.0.0.1:4318
    #[arg(long, default_value = "127.0.0.1:4318")]
    listen: SocketAddr,
}

/// Shows traces until Ctrl-C.
///
/// # Errors
/// The address is taken.
pub async fn run(options: TracesOptions) -> Result<()> {
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let collector = TraceCollector::start(listener)?;
    eprintln!("waiting for traces on http://{} (Ctrl-C ends)", collector.address());
    loop {
        sleep(LOOK).await;
        for spans in collector.take_quiet(QUIET) {
            match writeln!(std::io::stdout(), "{}", tree(&spans)) {
                // Whoever read has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                written => written?,
            }
        }
    }
}
