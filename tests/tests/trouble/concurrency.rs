//! Many devices, several ingests, several gateways, all at once on the same spaces.

use futures_util::future::join_all;
use tidelog_tests::{Batch, History, World, WorldOptions, eventually};

use super::load::Load;

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_twenty_devices_of_one_space_get_gapless_positions() {
    let world = World::new().await;
    let load = Load::new(1, 20, 10, 5);
    load.run(&world).await;
    load.assert_committed_once(&world).await;
    assert_eq!(world.head("user-0").await, 20 * 10 * 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_the_positions_of_an_answer_are_those_of_its_own_events() {
    let world = WorldOptions::default().ingests(2).start().await;
    let devices: Vec<String> = (0..20).map(|device| format!("phone-{device}")).collect();
    let answers = join_all(devices.iter().map(async |device| {
        let answer = world.push_until_committed("ann", &Batch::new(device, 1, 3)).await;
        (device, answer.json["first"].as_u64(), answer.json["last"].as_u64())
    }))
    .await;
    let log = world.whole_log("ann").await;
    for (device, first, last) in answers {
        // A push that was answered 202 first is a duplicate at its second try, and has no positions.
        let (Some(first), Some(last)) = (first, last) else { continue };
        assert_eq!(last, first + 2);
        for position in first..=last {
            let event = &log[usize::try_from(position).unwrap() - 1];
            assert_eq!(event["deviceId"], **device, "position {position}");
            assert_eq!(event["deviceSequence"], position - first + 1, "position {position}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_two_ingests_on_the_same_spaces_take_each_event_once() {
    let world = WorldOptions::default().ingests(2).start().await;
    disorder(&world, 3, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_three_ingests_on_one_space_take_each_event_once() {
    let world = WorldOptions::default().ingests(3).start().await;
    disorder(&world, 1, 10).await;
}

/// Every batch is pushed twice, overlaps those around it, and all of them come in any order at once.
async fn disorder(world: &World, users: usize, devices: usize) {
    const LAST: u64 = 60;
    let mut random = fastrand::Rng::with_seed(2);
    let mut pushes = Vec::new();
    for user in 0..users {
        for device in (0..devices).map(|device| format!("phone-{device}")) {
            for first in (1..=LAST).step_by(5) {
                let begin = first.saturating_sub(random.u64(0..5)).max(1);
                let batch = Batch::new(&device, begin, first + 4);
                pushes.extend([(format!("user-{user}"), batch.clone()), (format!("user-{user}"), batch)]);
            }
        }
    }
    random.shuffle(&mut pushes);
    join_all(pushes.iter().map(async |(user, batch)| {
        eventually("the batch is taken", async || {
            // A gap is not yet the end: its predecessor is on its way, too.
            let answer = world.push_until_committed(user, batch).await;
            if answer.status != 200 {
                answer.expect_refusal(409, "sequence-gap");
            }
            (answer.status == 200).then_some(())
        })
        .await;
    }))
    .await;
    let history = History::of((0..devices).map(|device| (format!("phone-{device}"), LAST)));
    for user in 0..users {
        history.assert_is_log_of(world, &format!("user-{user}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_the_same_batch_through_two_gateways_at_once_is_taken_once() {
    let world = WorldOptions::default().ingests(2).start().await;
    let gateways = [world.address, world.start_gateway().await];
    for first in (1..=100).step_by(10) {
        let batch = Batch::new("phone-1", first, first + 9);
        let answers = join_all((0..6).map(|number| {
            let gateway = gateways[number % 2];
            world.push_until_committed_at(gateway, "ann", &batch)
        }))
        .await;
        for answer in &answers {
            answer.expect(200);
            assert_eq!(answer.json["device"]["lastSequence"], first + 9);
        }
    }
    History::of([("phone-1", 100)]).assert_is_log_of(&world, "ann").await;
}
