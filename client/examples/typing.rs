//! Two phones of one user that type at each other over live connections: each word is recorded as an event, and is on the
//! other phone a moment later. While a phone types, the other one is told so, which nobody records.
//!
//! Needs a running stack (`make up`): `cargo run -p tidelog-client --example typing`, in its folder, or with
//! `-- --gateway URL --token TOKEN`.

mod fitness;
mod server;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fitness::{Workout, WorkoutCreated};
use serde_json::json;
use server::{Outcome, Server};
use tidelog_client::store::{Changed, StoreConfig};
use tidelog_client::sync::SyncOptions;
use tidelog_client::{HttpTransport, Identity, Store, Syncer};
use tidelog_events::id::{EntityId, SpaceId, UserId};
use tidelog_events::schema::Schema;
use tokio::time::{sleep, timeout};

/// What is said, in turns.
const CHAT: [&str; 4] =
    ["Are you there?", "Yes, on the other phone.", "How long did that take?", "See for yourself."];
/// Between two words.
const WORD: Duration = Duration::from_millis(150);
/// What is recorded on one phone is on the other by then.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("typing: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let server = Server::find()?;
    let folder = tempfile::tempdir()?;
    let phones =
        [Phone::new("A", folder.path(), &server).await?, Phone::new("B", folder.path(), &server).await?];
    // The name of a workout is what both edit.
    let line = EntityId::new(format!("w-{:08x}", fastrand::u32(..)))?;
    for phone in &phones {
        phone.live().await?;
    }
    println!("Both phones are live.\n");
    for (turn, text) in CHAT.iter().enumerate() {
        let (writer, reader) = (&phones[turn % 2], &phones[(turn + 1) % 2]);
        converse(writer, reader, &line, text).await?;
    }
    for phone in &phones {
        phone.syncer.close().await;
    }
    Ok(())
}

/// One phone types a sentence, word by word, and the other one shows each.
async fn converse(writer: &Phone, reader: &Phone, line: &EntityId, text: &str) -> Outcome<()> {
    let mut here = reader.syncer.subscribe_presences(&reader.space).await?;
    writer.syncer.set_presence(&writer.space, json!({ "typing": true })).await?;
    let told = here.wait_for(|here| here.values().any(|who| who.state == json!({ "typing": true })));
    timeout(PATIENCE, told).await.map_err(|_| "the other phone is not told who types")??;
    println!("phone {} sees that phone {} types", reader.name, writer.name);
    let mut typed = String::new();
    for word in text.split_inclusive(' ') {
        typed.push_str(word);
        let recorded = Instant::now();
        let mut changes = reader.store.subscribe();
        writer.store.record(&writer.space, WorkoutCreated::new(typed.as_str()).about(line)).await?;
        timeout(PATIENCE, async {
            while reader.shown(line).await?.as_deref() != Some(typed.as_str()) {
                if let None | Some(Changed::Lagged) = changes.next().await {
                    break;
                }
            }
            Outcome::Ok(())
        })
        .await
        .map_err(|_| "the word did not arrive in time")??;
        let took = recorded.elapsed().as_millis();
        println!("  phone {} ▏ phone {} shows after {took:>4} ms: {typed}", writer.name, reader.name);
        sleep(WORD).await;
    }
    writer.syncer.set_presence(&writer.space, json!({ "typing": false })).await?;
    Ok(())
}

/// A phone: a store of its own, and what syncs it.
struct Phone {
    name: &'static str,
    space: SpaceId,
    store: Store,
    syncer: Syncer,
}

impl Phone {
    async fn new(name: &'static str, folder: &Path, server: &Server) -> Outcome<Self> {
        let user = UserId::new(server.user.as_str())?;
        let schema = Arc::new(Schema::parse(include_str!("../../config/fitness.yaml"))?);
        let identity = Identity::load_or_create(&folder.join(format!("{name}-identity.json")))?;
        let file = folder.join(format!("{name}.sqlite"));
        let store = Store::open(StoreConfig::new(file, user, schema, &identity)).await?;
        let token = server.token.clone();
        let tokens = move |_| {
            let token = token.clone();
            async move { Ok(token) }
        };
        let transport = HttpTransport::new(&server.gateway)?.app_version("1.0.0")?;
        let syncer = Syncer::start(store.clone(), transport, tokens, SyncOptions::default());
        Ok(Self { name, space: SpaceId::new(server.user.as_str())?, store, syncer })
    }

    /// Waits until the log comes by itself.
    async fn live(&self) -> Outcome<()> {
        let mut status = self.syncer.subscribe_status(&self.space).await?;
        let live = timeout(PATIENCE, status.wait_for(|status| status.live));
        live.await.map_err(|_| "there is no live connection: does the server have them?")??;
        Ok(())
    }

    /// What it shows its user.
    async fn shown(&self, line: &EntityId) -> Outcome<Option<String>> {
        let view = self.store.entity(&self.space, Workout::TYPE, line).await?;
        Ok(view.map(|view| Workout::try_from(&view)).transpose()?.and_then(|workout| workout.name))
    }
}
