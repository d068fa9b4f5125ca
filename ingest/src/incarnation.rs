//! Notices that PostgreSQL is another one than before: restored from a backup, or failed over. Then its log may
//! lack what readers have seen, so every epoch rotates.

use sqlx::PgPool;
use tidelog_store::{incarnation, spaces};

/// Compares the server with the one that wrote the log so far. Called at the start, and after each outage before
/// anything is committed.
pub(crate) async fn check(pool: &PgPool, synchronous_failover: bool) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    let now = incarnation::current(&mut transaction).await?;
    let before = incarnation::record(&mut transaction, now).await?;
    let Some(before) = before.filter(|before| *before != now) else { return transaction.commit().await };
    let only_the_timeline = before.system_identifier == now.system_identifier;
    if synchronous_failover && only_the_timeline {
        tracing::warn!(?before, ?now, "PostgreSQL failed over; nothing that was committed is lost");
    } else {
        let rotated = spaces::rotate_epochs(&mut transaction).await?;
        tracing::warn!(?before, ?now, rotated, "PostgreSQL is another one than before: epochs rotate");
    }
    transaction.commit().await
}
