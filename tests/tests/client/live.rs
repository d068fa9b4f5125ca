//! Live connections: what other devices record is here at once, for as long as the app wants it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tidelog_cli::token::Claims;
use tidelog_client::Syncer;
use tidelog_client::sync::{NoToken, PresenceError, Presences, SyncFailure, SyncOptions};
use tidelog_tests::{Proxy, SECRET, World, eventually, token};

use super::line::Line;
use super::phone::{Phone, created, lap, offline};

/// A phone with live connections, by that address.
pub async fn live_phone(world: &World, user: &str, by: impl std::fmt::Display) -> Phone {
    let line = Line::to(world.address).live_by(by);
    Phone::with(world, user, line, |parts| parts.syncer(offline())).await
}

pub async fn is_live(phone: &Phone) -> bool {
    phone.syncer.status(&phone.space()).await.unwrap().live
}

/// Syncs, and waits until the log comes by itself.
pub async fn goes_live(phone: &Phone) {
    phone.synced().await;
    eventually("the phone is live", async || is_live(phone).await.then_some(())).await;
}

/// Lets time pass on the phone, which looks at its clock then.
pub fn wait(phone: &Phone, time: Duration) {
    phone.clock.advance(time);
    phone.syncer.resume();
}

/// Lets time pass on the phone until it is live again.
pub async fn comes_back_live(phone: &Phone) {
    eventually("the phone is live again", async || {
        wait(phone, Duration::from_millis(200));
        is_live(phone).await.then_some(())
    })
    .await;
}

/// Waits until the phone shows so many laps of `w-1`.
pub async fn shows_laps(phone: &Phone, laps: u64) {
    eventually(&format!("{laps} laps are shown"), async || {
        let workouts = phone.workouts().await;
        (workouts.first()?.fields.get("laps") == Some(&json!(laps))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_phone_recorded_arrives_without_a_poll() {
    let world = World::new().await;
    let (one, other) = (Phone::new(&world, "ann").await, live_phone(&world, "ann", world.address).await);
    one.record(created("w-1", "Run")).await;
    one.synced().await;
    goes_live(&other).await;
    let (requests, status) = (other.line.requests(), other.syncer.status(&other.space()).await.unwrap());
    let next = status.next_attempt_at.unwrap().0 - other.clock.wall_ms();
    assert_eq!(next, 300_000, "it polls rarely");
    for laps in 1..=5 {
        one.record(lap("w-1")).await;
        one.synced().await;
        shows_laps(&other, laps).await;
    }
    assert_eq!(other.line.requests(), requests, "nothing was asked");
    assert_eq!(other.line.connects(), 1);
    // Its own events leave by POST, and come back as everybody's.
    other.record(lap("w-1")).await;
    other.synced().await;
    one.synced().await;
    shows_laps(&one, 6).await;
    other.assert_is_the_log(&world).await;
    one.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_of_a_space_arrives_at_a_phone_that_has_waited_for_it() {
    let world = World::new().await;
    let (one, other) = (Phone::new(&world, "ann").await, live_phone(&world, "ann", world.address).await);
    goes_live(&other).await;
    one.record(created("w-1", "Run")).await;
    one.synced().await;
    eventually("it is shown", async || (other.workouts().await.len() == 1).then_some(())).await;
    comes_back_live(&other).await;
    one.record(lap("w-1")).await;
    one.synced().await;
    shows_laps(&other, 1).await;
    other.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pausing_going_offline_and_closing_end_it_at_once() {
    let world = World::new().await;
    let proxy = Proxy::start(world.address).await;
    let phone = live_phone(&world, "ann", proxy.address()).await;
    let ended = async || {
        eventually("the connection has ended", async || (proxy.connections() == 0).then_some(())).await;
    };
    goes_live(&phone).await;
    phone.syncer.pause();
    ended().await;
    let status = phone.syncer.status(&phone.space()).await.unwrap();
    assert!(!status.live && status.paused && status.last_error.is_none(), "{status:?}");
    phone.syncer.resume();
    comes_back_live(&phone).await;

    phone.syncer.set_connectivity(false);
    ended().await;
    assert!(!is_live(&phone).await);
    // A network that comes back is used at once: no time passes on this phone.
    phone.syncer.set_connectivity(true);
    eventually("the phone is live", async || is_live(&phone).await.then_some(())).await;

    phone.syncer.close().await;
    ended().await;
    let closed = phone.syncer.set_presence(&phone.space(), json!(1)).await;
    assert_eq!(closed, Err(PresenceError::Sync(SyncFailure::Closed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_wants_no_live_connection_has_none() {
    let world = World::new().await;
    let line = Line::to(world.address).live_by(world.address);
    let options = SyncOptions { live: false, ..offline() };
    let phone = Phone::with(&world, "ann", line, |parts| parts.syncer(options)).await;
    phone.synced().await;
    phone.synced().await;
    assert_eq!((phone.line.connects(), is_live(&phone).await), (0, false));
    let next = phone.syncer.status(&phone.space()).await.unwrap().next_attempt_at.unwrap().0;
    assert_eq!(next - phone.clock.wall_ms(), 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_token_expires_the_app_is_asked_for_another_and_it_goes_on() {
    let world = World::new().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let claims = Claims::new("ann", 0);
    let short = Claims { exp: claims.iat - 27, ..claims }.sign(SECRET).unwrap();
    let first = short.clone();
    let tokens = move |stale: Option<String>| {
        noted.lock().unwrap().push(stale.clone());
        let token = if stale.is_some() { token("ann") } else { short.clone() };
        async move { Ok::<_, NoToken>(token) }
    };
    let line = Line::to(world.address).live_by(world.address);
    let phone = Phone::with(&world, "ann", line, |parts| {
        Syncer::start(parts.store.clone(), parts.line.clone(), tokens, offline())
    })
    .await;
    goes_live(&phone).await;
    eventually("the connection is closed", async || (!is_live(&phone).await).then_some(())).await;
    eventually("the app is asked", async || (asked.lock().unwrap().len() == 2).then_some(())).await;
    comes_back_live(&phone).await;
    assert_eq!(*asked.lock().unwrap(), [None, Some(first)]);
    assert_eq!(phone.syncer.status(&phone.space()).await.unwrap().last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_see_what_others_show_and_when_they_are_gone() {
    let world = World::new().await;
    let one = live_phone(&world, "ann", world.address).await;
    let other = live_phone(&world, "ann", world.address).await;
    // What was set before there is a connection is shown when there is one.
    one.syncer.set_presence(&one.space(), json!({"typing": true})).await.unwrap();
    goes_live(&other).await;
    let mut seen = other.syncer.subscribe_presences(&other.space()).await.unwrap();
    goes_live(&one).await;
    let shown = seen.wait_for(|here| here.values().any(|who| who.state == json!({"typing": true}))).await;
    let who = shown.unwrap().values().next().unwrap().clone();
    let device = one.store.status(&one.space()).await.unwrap().device_id;
    assert_eq!((who.user_id.as_str(), who.device_id), ("ann", Some(device)));

    one.syncer.set_presence(&one.space(), json!({"typing": false})).await.unwrap();
    seen.wait_for(|here| here.values().all(|who| who.state == json!({"typing": false}))).await.unwrap();
    one.syncer.set_connectivity(false);
    seen.wait_for(Presences::is_empty).await.unwrap();

    let large = json!("x".repeat(4095));
    let refused = one.syncer.set_presence(&one.space(), large).await;
    assert_eq!(refused, Err(PresenceError::TooLarge { bytes: 4097, limit: 4096 }));
}
