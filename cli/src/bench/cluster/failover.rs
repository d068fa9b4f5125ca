//! Kills a server of the cluster, the one that most depends on, and waits until all is as it was.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use super::report::{FailoverReport, Kill};
use super::{Load, roles};
use crate::bench::options::Killed;
use crate::bench::target::Target;
use crate::local::Deadline;

const PATIENCE: Duration = Duration::from_mins(5);
/// By then every phone has tried again, and the next kill finds none that still waits for the last one.
const SETTLING: Duration = Duration::from_secs(3);
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// What JetStream says of a stream's nodes.
#[derive(Deserialize)]
struct StreamStanding {
    cluster: Option<Nodes>,
}

#[derive(Deserialize)]
struct Nodes {
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    #[serde(default)]
    current: bool,
    #[serde(default)]
    offline: bool,
}

/// Kills them one after the other.
pub(super) async fn measure(load: &Load, kill: Killed) -> Result<FailoverReport> {
    let killing = async {
        let mut kills = Vec::new();
        if kill != Killed::Postgres {
            kills.push(kill_nats(&load.target).await?);
        }
        if kill != Killed::Nats {
            kills.push(kill_postgres(&load.target).await?);
        }
        Ok(kills)
    };
    let (kills, loaded) = load.during(killing).await?;
    Ok(FailoverReport::new(load, kills, &loaded))
}

async fn kill_nats(target: &Target) -> Result<Kill> {
    let nodes =
        nodes(target).await?.context("the stack's NATS is no cluster: start `tidelog up --cluster`")?;
    let role = nodes.leader.context("the stream PUSH has no leader")?;
    let (began, ended) = (Instant::now(), roles::end(&role, Signal::KILL)?);
    roles::until_replaced(&role, ended).await?;
    let deadline = Deadline::after(PATIENCE, "PUSH being on every node again");
    while !nodes_are_well(target).await {
        deadline.next_look().await?;
    }
    let whole_again = began.elapsed();
    sleep(SETTLING).await;
    Ok(Kill { what: format!("{role}, which led PUSH"), began, ended: Instant::now(), whole_again })
}

async fn nodes_are_well(target: &Target) -> bool {
    let Ok(Some(Nodes { leader: Some(_), replicas })) = nodes(target).await else { return false };
    replicas.len() == 2 && replicas.iter().all(|replica| replica.current && !replica.offline)
}

async fn nodes(target: &Target) -> Result<Option<Nodes>> {
    let subject = format!("$JS.API.STREAM.INFO.{}", target.broker.config().push_stream());
    let answer = timeout(LOOK_TIMEOUT, target.broker.client().request(subject, "".into())).await??;
    Ok(serde_json::from_slice::<StreamStanding>(&answer.payload)?.cluster)
}

async fn kill_postgres(target: &Target) -> Result<Kill> {
    let role = primary(target).await?;
    ensure!(!role.is_empty(), "the stack's PostgreSQL has no standby: start `tidelog up --cluster`");
    ensure!(has_standby(target).await?, "the standby has not everything yet: try again in a moment");
    let (began, ended) = (Instant::now(), roles::end(&role, Signal::KILL)?);
    roles::until_replaced(&role, ended).await?;
    let deadline = Deadline::after(PATIENCE, "the old primary being the standby");
    while !matches!(has_standby(target).await, Ok(true)) {
        deadline.next_look().await?;
    }
    let (whole_again, now) = (began.elapsed(), primary(target).await?);
    ensure!(now != role, "{role} is the primary as before: it was started again where it was");
    sleep(SETTLING).await;
    Ok(Kill { what: format!("{role}, the primary"), began, ended: Instant::now(), whole_again })
}

/// The name of the PostgreSQL behind the door.
async fn primary(target: &Target) -> Result<String> {
    let name = sqlx::query_scalar("SELECT current_setting('cluster_name')").fetch_one(&target.pool).await;
    name.context("PostgreSQL does not say which one it is")
}

/// Whether commits wait for a standby.
async fn has_standby(target: &Target) -> sqlx::Result<bool> {
    let statement = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')";
    sqlx::query_scalar(statement).fetch_one(&target.pool).await
}
