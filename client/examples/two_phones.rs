//! Two phones of one user, both offline, both at the same workout; then both sync, and show the same.
//!
//! Needs a running stack (`make up`): `cargo run -p tidelog-client --example two_phones`, in its folder, or with
//! `-- --gateway URL --token TOKEN`.

mod fitness;
mod server;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use fitness::{
    LapRecorded, TrackPointRecorded, Workout, WorkoutCompleted, WorkoutCreated, WorkoutDurationUpdated,
};
use serde_json::Value;
use server::{Outcome, Server};
use tidelog_client::store::{EventState, EventsQuery, StoreConfig};
use tidelog_client::sync::SyncOptions;
use tidelog_client::{HttpTransport, Identity, NewEvent, Store, Syncer};
use tidelog_events::id::{EntityId, SpaceId, UserId};
use tidelog_events::schema::Schema;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("two_phones: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let server = Server::find()?;
    let folder = tempfile::tempdir()?;
    let a = Phone::new("A", folder.path(), &server).await?;
    let b = Phone::new("B", folder.path(), &server).await?;
    let workout = EntityId::new(format!("w-{:08x}", fastrand::u32(..)))?;

    println!("Phone A begins a workout, and both phones sync.");
    a.record(WorkoutCreated::new("Morning run").about(&workout)).await?;
    a.sync().await?;
    b.sync().await?;

    println!("Then neither has a network, and both go on.\n");
    go_on(&a, &b, &workout).await?;
    print_timelines(&a, &b, &workout).await?;
    print_workout(&a, &workout).await?;
    print_workout(&b, &workout).await?;

    println!("\nThe network is back, and both sync.\n");
    for phone in [&a, &b, &a] {
        phone.sync().await?;
    }
    print_timelines(&a, &b, &workout).await?;
    print_workout(&a, &workout).await?;
    print_workout(&b, &workout).await?;

    let (hash_a, hash_b) = (a.hash().await?, b.hash().await?);
    println!("\nphone A's state hash: {hash_a}\nphone B's state hash: {hash_b}");
    if hash_a != hash_b {
        return Err("the phones differ: has somebody else just pushed to this space?".into());
    }
    Ok(())
}

/// What the user does on both phones at about the same time.
async fn go_on(a: &Phone, b: &Phone, workout: &EntityId) -> Outcome<()> {
    a.record(LapRecorded::new(1).about(workout)).await?;
    b.record(LapRecorded::new(1).about(workout)).await?;
    a.record(WorkoutCreated::new("Forest run").about(workout)).await?;
    let heart_rate = TrackPointRecorded { max_heart_rate: Some(171), ..TrackPointRecorded::new(1) };
    b.record(heart_rate.about(workout)).await?;
    a.record(LapRecorded::new(1).about(workout)).await?;
    a.record(WorkoutDurationUpdated::new(1800).about(workout)).await?;
    b.record(WorkoutDurationUpdated::new(1860).about(workout)).await?;
    b.record(WorkoutCompleted::new().about(workout)).await
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
        let offline = SyncOptions { online: false, ..SyncOptions::default() };
        let syncer = Syncer::start(store.clone(), HttpTransport::new(&server.gateway)?, tokens, offline);
        Ok(Self { name, space: SpaceId::new(server.user.as_str())?, store, syncer })
    }

    /// Records something that the user did. No network is needed for that.
    async fn record(&self, event: NewEvent) -> Outcome<()> {
        // The user takes a moment for each.
        tokio::time::sleep(Duration::from_millis(40)).await;
        self.store.record(&self.space, event).await?;
        Ok(())
    }

    /// Goes online until everything is synced.
    async fn sync(&self) -> Outcome<()> {
        self.syncer.set_connectivity(true);
        let synced = self.syncer.sync_space_now(&self.space).await;
        self.syncer.set_connectivity(false);
        Ok(synced?)
    }

    async fn hash(&self) -> Outcome<String> {
        Ok(serde_json::to_string(&self.store.state_hash(&self.space).await?)?)
    }
}

/// What each phone has recorded, by time: ✅ what the server has, ⏳ what it does not have yet.
async fn print_timelines(a: &Phone, b: &Phone, workout: &EntityId) -> Outcome<()> {
    let mut rows = BTreeSet::new();
    for (column, phone) in [a, b].into_iter().enumerate() {
        for event in phone.store.events(&phone.space, EventsQuery::all()).await? {
            let mark = if event.state == EventState::Synced { "✅" } else { "⏳" };
            let line: Value = serde_json::from_str(&event.line)?;
            let shown = format!("{mark} {} {}", event.event_type, line["payload"]);
            if event.entity_id == *workout {
                rows.insert((event.timestamp, column, shown));
            }
        }
    }
    println!("{:15}{:52}phone {}", "", format!("phone {}", a.name), b.name);
    for (timestamp, column, shown) in rows {
        let time = timestamp.to_string()[11..23].to_owned();
        println!("{time}{}{shown}", " ".repeat(3 + column * 52));
    }
    println!();
    Ok(())
}

/// What a phone shows its user.
async fn print_workout(phone: &Phone, workout: &EntityId) -> Outcome<()> {
    let view = phone.store.entity(&phone.space, Workout::TYPE, workout).await?;
    let workout = Workout::try_from(&view.ok_or("the workout is not there")?)?;
    println!(
        "phone {} shows: {}, {} laps, {} s, heart rate up to {}, {}",
        phone.name,
        workout.name.unwrap_or_default(),
        workout.laps,
        workout.duration.unwrap_or_default(),
        workout.max_heart_rate.map_or("?".to_owned(), |rate| rate.to_string()),
        if workout.completed { "completed" } else { "not completed" },
    );
    Ok(())
}
