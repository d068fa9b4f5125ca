//! The metrics of the broker connection, and of the streams as whoever works through them sees them every few seconds.

use super::{Broker, BrokerError, StreamStanding};
use crate::metrics::{Metric, sampling};
use tokio_util::sync::CancellationToken;

/// The metrics of the connection.
pub const METRICS: &[Metric] = &[
    Metric::gauge("tidelog_broker_connected", "1 while the connection to the broker stands"),
    Metric::counter("tidelog_broker_events_total", "Events of the broker connection, by event").by(&[(
        "event",
        &[
            "connected",
            "disconnected",
            "slow_consumer",
            "lame_duck",
            "server_error",
            "client_error",
            "closed",
        ],
    )]),
    Metric::counter("tidelog_broker_publishes_total", "Publishes to a stream, by stream and outcome").by(&[
        ("stream", STREAMS),
        ("outcome", &["acknowledged", "full", "busy", "too_large", "unavailable"]),
    ]),
    Metric::histogram("tidelog_broker_publish_seconds", "Time to a publish's acknowledgement, by stream")
        .by(&[("stream", STREAMS)]),
    Metric::counter("tidelog_broker_hints_dropped_total", "Hints that could not be sent"),
];

/// The metrics of the streams: of PUSH from each ingest, of LOG from each projector.
pub const STREAM_METRICS: &[Metric] = &[
    Metric::gauge("tidelog_broker_stream_messages", "Messages that the stream holds, done with or not")
        .by(&[("stream", STREAMS)]),
    Metric::gauge("tidelog_broker_stream_bytes", "Bytes that the stream holds").by(&[("stream", STREAMS)]),
    Metric::gauge("tidelog_broker_stream_bytes_max", "Bytes at which the stream is full")
        .by(&[("stream", STREAMS)]),
    Metric::gauge(
        "tidelog_broker_consumer_pending",
        "Messages of the stream that nobody who works through it was handed yet",
    )
    .by(&[("stream", STREAMS)]),
    Metric::gauge(
        "tidelog_broker_consumer_in_flight",
        "Messages that were handed out and are not acknowledged",
    )
    .by(&[("stream", STREAMS)]),
    Metric::gauge("tidelog_broker_consumer_redelivered", "Those of them that were handed out more than once")
        .by(&[("stream", STREAMS)]),
];

const STREAMS: &[&str] = &["push", "log"];

impl Broker {
    /// Looks how PUSH stands, and shows it; `None` where that is not known just now.
    pub async fn show_push(&self) -> Option<StreamStanding> {
        show("push", self.is_connected(), Box::pin(self.push_standing())).await
    }

    /// Shows how LOG stands, every few seconds until `stopped`.
    pub async fn watch_log(self, stopped: CancellationToken) {
        let mut ticks = sampling();
        while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
            let shown = show("log", self.is_connected(), Box::pin(self.log_standing()));
            if stopped.run_until_cancelled(shown).await.is_none() {
                return;
            }
        }
    }
}

/// What is not known is shown as NaN: an old number would pass for the present one.
async fn show(
    stream: &'static str,
    is_connected: bool,
    ask: impl Future<Output = Result<StreamStanding, BrokerError>>,
) -> Option<StreamStanding> {
    let asked = if is_connected { ask.await.ok() } else { None };
    let number = |pick: fn(&StreamStanding) -> u64| asked.as_ref().map_or(f64::NAN, |it| pick(it) as f64);
    ::metrics::gauge!("tidelog_broker_stream_messages", "stream" => stream).set(number(|it| it.messages));
    ::metrics::gauge!("tidelog_broker_stream_bytes", "stream" => stream).set(number(|it| it.bytes));
    ::metrics::gauge!("tidelog_broker_stream_bytes_max", "stream" => stream).set(number(|it| it.max_bytes));
    ::metrics::gauge!("tidelog_broker_consumer_pending", "stream" => stream)
        .set(number(|it| it.consumer.pending));
    ::metrics::gauge!("tidelog_broker_consumer_in_flight", "stream" => stream)
        .set(number(|it| it.consumer.in_flight));
    ::metrics::gauge!("tidelog_broker_consumer_redelivered", "stream" => stream)
        .set(number(|it| it.consumer.redelivered));
    asked
}
