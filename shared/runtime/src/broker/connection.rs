//! The connection to the broker: its settings, what is counted and logged about it, and waiting for it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::error::Cause;
use super::servers::servers;
use super::{BrokerConfig, BrokerError, tls};

/// A publish waits this long for a connection that has just broken; one that is down longer fails it at once.
const BLIP: Duration = Duration::from_secs(1);

/// How often a waiting publish looks for itself: the event that it waits for may be lost when many come at once.
const RECHECK: Duration = Duration::from_millis(50);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RECONNECT_DELAY_MIN_MS: u64 = 100;
const RECONNECT_DELAY_MAX_MS: u64 = 2000;

#[derive(Debug, thiserror::Error)]
#[error("not connected to the broker")]
pub(super) struct Disconnected;

/// What the connection's events have told.
pub(super) struct Link {
    state: watch::Sender<LinkState>,
}

#[derive(Debug, Clone, Copy)]
struct LinkState {
    /// How often the connection was made.
    connects: u64,
    down_since: Option<Instant>,
}

impl Link {
    fn new() -> Self {
        Self { state: watch::Sender::new(LinkState { connects: 0, down_since: Some(Instant::now()) }) }
    }

    /// How often the connection was made: another number means that what was in flight is gone.
    pub(super) fn connects(&self) -> u64 {
        self.state.borrow().connects
    }

    /// Waits until the connection has been made again after `connects`.
    pub(super) async fn remade_after(&self, connects: u64) {
        let mut state = self.state.subscribe();
        if state.wait_for(|state| state.connects > connects).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the connection, but not for one that has been down longer than a blip: the channel to the
    /// client must not fill with what is to be sent later.
    pub(super) async fn wait_connected(&self, client: &Client) -> Result<(), Cause> {
        let mut state = self.state.subscribe();
        while !stands(client) {
            let down_since = state.borrow_and_update().down_since;
            if down_since.is_some_and(|since| since.elapsed() >= BLIP) {
                return Err(Disconnected.into());
            }
            tokio::select! {
                _ = state.changed() => {}
                () = sleep(RECHECK) => {}
            }
        }
        Ok(())
    }

    fn note(&self, event: &Event) {
        let name = match event {
            Event::Connected => {
                self.state.send_modify(|state| {
                    state.connects += 1;
                    state.down_since = None;
                });
                ::metrics::gauge!("tidelog_broker_connected").set(1.0);
                tracing::info!("connected to the broker");
                "connected"
            }
            Event::Disconnected => {
                self.state.send_modify(|state| state.down_since = Some(Instant::now()));
                ::metrics::gauge!("tidelog_broker_connected").set(0.0);
                tracing::warn!("lost the connection to the broker; reconnecting");
                "disconnected"
            }
            Event::SlowConsumer(subscription) => {
                tracing::warn!(subscription, "a subscription overflowed and lost messages");
                "slow_consumer"
            }
            Event::LameDuckMode => {
                tracing::info!("the broker is about to shut down");
                "lame_duck"
            }
            Event::ServerError(error) => {
                tracing::warn!(%error, "the broker reported an error");
                "server_error"
            }
            Event::ClientError(error) => {
                tracing::warn!(%error, "the broker cannot be reached");
                "client_error"
            }
            Event::Draining | Event::Closed => "closed",
        };
        ::metrics::counter!("tidelog_broker_events_total", "event" => name).increment(1);
    }
}

/// Whether the connection stands just now.
pub(super) fn stands(client: &Client) -> bool {
    client.connection_state() == State::Connected
}

pub(super) async fn open(config: &BrokerConfig, name: &str) -> Result<(Client, Arc<Link>), BrokerError> {
    let link = Arc::new(Link::new());
    ::metrics::gauge!("tidelog_broker_connected").set(0.0);
    let noted = Arc::clone(&link);
    let options = ConnectOptions::new()
        .name(name)
        .custom_inbox_prefix(inbox_prefix(name))
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(Duration::from_secs(config.ping_interval_seconds))
        .request_timeout(Some(super::REQUEST_TIMEOUT))
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            noted.note(&event);
            std::future::ready(())
        });
    let options = match config.credentials_file.as_str() {
        "" => options,
        file => {
            // What is read is never repeated.
            let unusable = |why: String| BrokerError::Unusable {
                key: "broker.credentials_file",
                cause: format!("{file}: {why}").into(),
            };
            let text = tokio::fs::read_to_string(file).await.map_err(|error| unusable(error.to_string()))?;
            options.credentials(&text).map_err(|_| unusable("it holds no credentials".to_owned()))?
        }
    };
    let options = tls::secured(options, config)?;
    let (servers, options) = servers(options, config.url.expose())?;
    let client =
        options.connect(servers).await.map_err(|source| BrokerError::Configuration(source.into()))?;
    Ok((client, link))
}

/// A prefix of one token, and none that other clients of the broker have by default: who may read `_INBOX.>` reads
/// nothing of ours.
fn inbox_prefix(name: &str) -> String {
    format!("_INBOX_{}", name.trim_start_matches("tidelog-"))
}

/// Doubles from a tenth of a second to two seconds; a random half of it is left out, so that the clients of a
/// restarted broker do not all come in the same moment.
fn reconnect_delay(attempts: usize) -> Duration {
    if attempts <= 1 {
        return Duration::from_millis(fastrand::u64(0..=RECONNECT_DELAY_MIN_MS));
    }
    let doublings = u32::try_from(attempts - 1).unwrap_or(u32::MAX).min(16);
    let longest = RECONNECT_DELAY_MIN_MS.saturating_mul(1 << doublings).min(RECONNECT_DELAY_MAX_MS);
    Duration::from_millis(fastrand::u64(longest / 2..=longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnecting_slows_down_to_two_seconds_and_never_further() {
        for attempts in 0..100 {
            assert!(reconnect_delay(attempts) <= Duration::from_millis(RECONNECT_DELAY_MAX_MS));
        }
        assert!(reconnect_delay(usize::MAX) >= Duration::from_millis(RECONNECT_DELAY_MAX_MS / 2));
    }

    #[tokio::test]
    async fn a_reconnection_is_told_to_those_who_were_in_flight() {
        let link = Link::new();
        link.note(&Event::Connected);
        let before = link.connects();
        let waiting = link.remade_after(before);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        link.note(&Event::Disconnected);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        link.note(&Event::Connected);
        waiting.await;
    }
}
