//! Live messages are hints: whatever becomes of them, every phone has the log in the end, each position once.

use std::time::Duration;

use tidelog_tests::{Fault, Proxy, Script, World, eventually};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;

use super::line::Line;
use super::live::{comes_back_live, goes_live, is_live, live_phone, shows_laps, wait};
use super::live_gateway::{LiveGateway, pulled};
use super::phone::{Phone, created, lap, offline};

/// A phone that records and syncs, and has recorded a workout.
async fn recorder(world: &World) -> Phone {
    let phone = Phone::new(world, "ann").await;
    phone.record(created("w-1", "Run")).await;
    phone.synced().await;
    phone
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_losing_live_messages_delays_and_never_breaks() {
    let world = World::new().await;
    let one = recorder(&world).await;
    let proxy = Proxy::start(world.address).await;
    let other = live_phone(&world, "ann", proxy.address()).await;
    goes_live(&other).await;
    let trouble = proxy.play(Script::mixed(9));
    let mut laps = 0;
    eventually("connections are broken", async || {
        one.record(lap("w-1")).await;
        one.synced().await;
        laps += 1;
        wait(&other, Duration::from_millis(500));
        (laps >= 100 && proxy.broken() > 3).then_some(())
    })
    .await;
    trouble.end().await;
    eventually("everything is shown", async || {
        wait(&other, Duration::from_secs(1));
        (other.workouts().await.first()?.fields.get("laps")? == laps).then_some(())
    })
    .await;
    assert!(other.line.connects() > 3, "{} connections", other.line.connects());
    other.assert_is_the_log(&world).await;
    one.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_within_a_message_is_taken_up_behind_what_is_stored() {
    let world = World::new().await;
    let one = recorder(&world).await;
    let proxy = Proxy::start(world.address).await;
    let other = live_phone(&world, "ann", proxy.address()).await;
    goes_live(&other).await;
    for cuts in 1..=3_u64 {
        // Slow enough that the message of a batch of 50 takes seconds.
        proxy.set(Fault::Throttle { bytes_per_second: 500 });
        for _ in 0..50 {
            one.record(lap("w-1")).await;
        }
        one.synced().await;
        eventually("it is cut", async || {
            proxy.set(Fault::Cut);
            (!is_live(&other).await).then_some(())
        })
        .await;
        proxy.set(Fault::Pass);
        comes_back_live(&other).await;
        shows_laps(&other, cuts * 50).await;
    }
    one.record(lap("w-1")).await;
    one.synced().await;
    shows_laps(&other, 151).await;
    other.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_goes_away_and_comes_back_is_polled_first_and_then_followed() {
    let world = World::new().await;
    let one = recorder(&world).await;
    let proxy = Proxy::start(world.address).await;
    let line = Line::to(proxy.address()).live_by(proxy.address());
    let other = Phone::with(&world, "ann", line, |parts| parts.syncer(offline())).await;
    goes_live(&other).await;
    proxy.set(Fault::Cut);
    proxy.set(Fault::Refuse);
    eventually("it is noticed", async || {
        wait(&other, Duration::from_millis(500));
        let status = other.syncer.status(&other.space()).await.unwrap();
        (!status.live && status.last_error.is_some()).then_some(())
    })
    .await;
    one.record(lap("w-1")).await;
    one.synced().await;
    let (requests, connects) = (other.line.requests(), other.line.connects());
    proxy.set(Fault::Pass);
    eventually("it is back", async || {
        wait(&other, Duration::from_secs(5));
        is_live(&other).await.then_some(())
    })
    .await;
    assert!(other.line.requests() > requests && other.line.connects() > connects);
    shows_laps(&other, 1).await;
    other.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_pulled_and_then_it_goes_on() {
    let world = World::new().await;
    let one = recorder(&world).await;
    let gateway = LiveGateway::start().await;
    let other = live_phone(&world, "ann", gateway.address).await;
    gateway.log(&pulled(&world, "ann", 1).await.0);
    goes_live(&other).await;
    for _ in 0..2 {
        one.record(lap("w-1")).await;
        one.synced().await;
    }
    // Position 2 never comes.
    let requests = other.line.requests();
    gateway.log(&pulled(&world, "ann", 2).await.1);
    shows_laps(&other, 2).await;
    assert!(other.line.requests() > requests, "it was pulled");
    // The next connection brings what was committed before it, which is here, and what comes later.
    let (hello, _) = pulled(&world, "ann", 3).await;
    gateway.log(&hello);
    gateway.log(&pulled(&world, "ann", 1).await.1);
    comes_back_live(&other).await;
    assert_eq!(gateway.taken(), 2);
    one.record(lap("w-1")).await;
    one.synced().await;
    gateway.log(&pulled(&world, "ann", 3).await.1);
    shows_laps(&other, 3).await;
    other.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_place_of_the_log_harms_nothing_and_is_not_asked_for_all_the_time() {
    let world = World::new().await;
    let one = recorder(&world).await;
    let gateway = LiveGateway::start().await;
    let other = live_phone(&world, "ann", gateway.address).await;
    let (hello, _) = pulled(&world, "ann", 1).await;
    let torn = &hello[..hello.len() / 2];
    let rounds: [&dyn Fn(); 5] = [
        &|| gateway.say(Message::binary(b"no frame".to_vec())),
        &|| {
            gateway.say(Message::text(
                r#"{"presence":{"connection":"c","userId":"bob","deviceId":null,"state":1}}"#,
            ));
        },
        &|| gateway.log("{}\n"),
        &|| gateway.log(torn),
        &|| {
            gateway.log(&hello);
            gateway.log("{\"segment\":7}\n");
        },
    ];
    for (number, round) in rounds.iter().enumerate() {
        round();
        eventually("it is tried", async || {
            wait(&other, Duration::from_secs(1));
            other.syncer.sync_now().await;
            other.syncer.set_connectivity(true);
            (gateway.taken() > number).then_some(())
        })
        .await;
    }
    one.record(lap("w-1")).await;
    one.synced().await;
    other.synced().await;
    shows_laps(&other, 1).await;
    // On a clock that stands still it is over: what failed is tried after a pause alone.
    let connects = other.line.connects();
    for _ in 0..20 {
        other.synced().await;
    }
    assert!(other.line.connects() <= connects + 1, "{} after {connects}", other.line.connects());
    other.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_live_connections_is_polled_as_ever() {
    let world = World::new().await;
    let one = recorder(&world).await;
    // What answers here knows nothing of the path.
    let none = Line::to(world.address).live_by(format!("{}/elsewhere", world.address));
    let other = Phone::with(&world, "ann", none, |parts| parts.syncer(offline())).await;
    other.synced().await;
    eventually("it was tried", async || (other.line.connects() == 1).then_some(())).await;
    for laps in 1..=5 {
        one.record(lap("w-1")).await;
        one.synced().await;
        let requests = other.line.requests();
        eventually("it is polled", async || {
            wait(&other, Duration::from_secs(1));
            (other.line.requests() > requests).then_some(())
        })
        .await;
        shows_laps(&other, laps).await;
    }
    assert_eq!((other.line.connects(), is_live(&other).await), (1, false), "it is not asked again soon");
    assert_eq!(other.syncer.status(&other.space()).await.unwrap().last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_code_closes_it_the_phone_comes_back_behind_what_it_has() {
    let world = World::new().await;
    let one = recorder(&world).await;
    let gateway = LiveGateway::start().await;
    let other = live_phone(&world, "ann", gateway.address).await;
    for (laps, code) in (0..).zip([1001_u16, 1009, 4400, 4408, 4409, 4503]) {
        gateway.log(&pulled(&world, "ann", laps + 1).await.0);
        if laps == 0 {
            goes_live(&other).await;
        } else {
            comes_back_live(&other).await;
        }
        let frame = CloseFrame { code: code.into(), reason: "as the test says".into() };
        gateway.say(Message::Close(Some(frame)));
        eventually("it is noticed", async || (!is_live(&other).await).then_some(())).await;
        one.record(lap("w-1")).await;
        one.synced().await;
        let shown = async || {
            wait(&other, Duration::from_millis(500));
            (other.workouts().await[0].fields.get("laps")? == laps + 1).then_some(())
        };
        eventually("a sync has brought it", shown).await;
    }
    other.assert_is_the_log(&world).await;
}
