//! Commands of people: each is carried out in a small transaction of its own, one after the other and beside the batches,
//! then its sender is told and it is acknowledged. What the database does not take just now is tried again.

mod execute;

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::command::CommandMessage;
use tidelog_events::protocol::{Outcome, Receipt};
use tidelog_events::schema::Schema;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::database::{DatabaseFault, classify, out_of_time};
use tidelog_runtime::failpoint::{self, Failpoint};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::announce::hint_head;
use crate::incoming::IncomingCommand;
use crate::release::ReleaseError;
use crate::{incarnation, poison};

use execute::{Executed, News};

/// Commands that wait in a replica; the broker keeps the others.
pub(crate) const QUEUE: usize = 256;

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Carries commands out.
pub(crate) struct Commands {
    pub(crate) pool: PgPool,
    pub(crate) broker: Broker,
    pub(crate) schema: watch::Receiver<Arc<Schema>>,
    /// A transaction that takes longer counts as failed; trying again is harmless.
    pub(crate) deadline: Duration,
    pub(crate) synchronous_failover: bool,
    pub(crate) shutdown: CancellationToken,
}

impl Commands {
    /// Works until `shutdown`. What is not done then is given back by being dropped, so that another replica gets it.
    pub(crate) async fn run(self, mut queue: mpsc::Receiver<IncomingCommand>) {
        while let Some(Some(next)) = self.shutdown.run_until_cancelled(queue.recv()).await {
            self.settle(&next).await;
        }
    }

    async fn settle(&self, incoming: &IncomingCommand) {
        let CommandMessage { reply_to, push_id, command } = &incoming.command;
        let Some(executed) = self.execute(incoming).await else { return };
        let outcome = match executed {
            Ok(Executed { outcome, news }) => {
                self.tell(news).await;
                outcome
            }
            Err(error) => {
                incoming.trace.fail();
                tracing::error!(parent: &incoming.span, %error, ?command, "the database refuses a command");
                let detail = "the service cannot do this; its log has the cause".to_owned();
                self.answer(
                    reply_to,
                    *push_id,
                    Outcome::Refused { code: Refusal::Internal, detail, expected: None },
                )
                .await;
                return poison::keep(&self.pool, incoming.message(), &error).await;
            }
        };
        tracing::info!(parent: &incoming.span, ?command, ?outcome, "a command was carried out");
        self.answer(reply_to, *push_id, outcome).await;
        incoming.message().acknowledge().await;
    }

    /// Tries until the database has decided; `None` on shutdown.
    async fn execute(&self, incoming: &IncomingCommand) -> Option<Result<Executed, ReleaseError>> {
        let mut pause = PAUSE_MIN;
        let mut back_from_outage = false;
        loop {
            let schema = self.schema.borrow().clone();
            let attempt = async {
                if back_from_outage {
                    // It may be a restored one.
                    incarnation::check(&self.pool, self.synchronous_failover).await?;
                }
                execute::execute(&self.pool, &incoming.command.command, &schema).await
            };
            let attempted = timeout(self.deadline, attempt).await;
            let error = match attempted.unwrap_or_else(|elapsed| Err(out_of_time(elapsed).into())) {
                Ok(executed) => {
                    failpoint::reach(Failpoint::IngestAfterCommand);
                    return Some(Ok(executed));
                }
                Err(error) => error,
            };
            match &error {
                ReleaseError::Database(cause) if classify(cause) == DatabaseFault::Poison => {
                    return Some(Err(error));
                }
                ReleaseError::Database(cause) if classify(cause) == DatabaseFault::Conflict => {}
                _ => {
                    back_from_outage = true;
                    tracing::warn!(%error, "the database takes no command; trying again");
                    incoming.message().in_progress().await;
                }
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                () = self.shutdown.cancelled() => return None,
            }
        }
    }

    /// Tells those who read; before the sender learns that it is done.
    async fn tell(&self, news: Option<News>) {
        match news {
            None => {}
            Some(News::Head(space, head)) => hint_head(&self.broker, &space, head).await,
            Some(News::Profile(hint)) => {
                if let Ok(hint) = serde_json::to_vec(&hint) {
                    let subject = self.broker.subjects().profiles();
                    self.broker.publish_hint(subject, HeaderMap::new(), hint.into()).await;
                }
            }
        }
    }

    async fn answer(&self, reply_to: &str, push_id: u64, outcome: Outcome) {
        let label = match &outcome {
            Outcome::Committed(_) | Outcome::Done(_) => "done",
            Outcome::Refused { code, .. } => code.as_str(),
        };
        metrics::counter!("tidelog_ingest_commands_total", "outcome" => label).increment(1);
        if let Ok(receipts) = serde_json::to_vec(&[Receipt { push_id, outcome }]) {
            self.broker.publish_hint(reply_to.to_owned(), HeaderMap::new(), receipts.into()).await;
        }
    }
}
