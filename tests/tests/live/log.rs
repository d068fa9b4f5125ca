//! What a live connection tells of the log.

use reqwest::Method;
use serde_json::json;
use tidelog_events::live::LIVE_PROTOCOL;
use tidelog_tests::{Batch, LiveConnection, Told, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_gets_what_is_there_and_then_what_comes() {
    let world = World::new().await;
    let first = Batch::new("phone-1", 1, 3);
    world.push("ann", &first).await.expect_committed(Some((1, 3)));
    for format in ["frames", "lines"] {
        let mut live = world.live("ann", &format!("after=1&deviceId=phone-1&format={format}")).await;
        let hello = live.hello().await;
        assert_eq!(hello["cursor"], 1);
        assert_eq!(hello["device"]["lastSequence"], hello["head"]);
        let head = hello["head"].as_u64().unwrap();
        for position in 2..=head {
            assert_eq!(live.event().await.0, position);
        }
        let next = Batch::new("phone-1", head + 1, head + 2).without_after();
        world.push("ann", &next).await.expect_committed(Some((head + 1, head + 2)));
        let told = [live.event().await, live.event().await];
        let pushed = String::from_utf8(next.body()).unwrap();
        let pushed: Vec<&str> = pushed.lines().skip(1).collect();
        assert_eq!(told.map(|(position, _)| position), [head + 1, head + 2], "{format}");
        let pull = world.pull_lines("ann", &format!("after={head}")).await;
        assert_eq!(pull.lines(), pushed, "the bytes are those that were pushed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_space_begins_with_its_first_event() {
    let world = World::new().await;
    let mut live = world.live("ann", "").await;
    let hello = live.hello().await;
    assert_eq!((&hello["head"], &hello["epoch"], &hello["device"]), (&json!(0), &json!(null), &json!(null)));
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect_committed(Some((1, 1)));
    assert_eq!(live.event().await.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_passes_its_token_as_a_subprotocol() {
    let world = World::new().await;
    let protocols = format!("{LIVE_PROTOCOL}, bearer.{}", world.token("ann"));
    let opened = LiveConnection::open(world.address, "/v1/spaces/me/live", &[], &protocols).await;
    assert_eq!(opened.unwrap().hello().await["head"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_past_comes_in_pieces_without_a_gap() {
    let world = World::new().await;
    for batch in 0..8 {
        let batch = Batch::new("phone-1", batch * 500 + 1, batch * 500 + 500);
        world.push("ann", &batch).await.expect(200);
    }
    for format in ["frames", "lines"] {
        let mut live = world.live("ann", &format!("format={format}")).await;
        live.hello().await;
        for position in 1..=4000 {
            assert_eq!(live.event().await.0, position, "{format}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_connection_passes_over_the_events_of_other_types() {
    let world = World::new().await;
    let schema = std::fs::read_to_string(&world.schema_file).unwrap();
    assert!(schema.contains("workout:"), "the example schema has workouts");
    let mut live = world.live("ann", "types=workout&after=0").await;
    live.hello().await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect_committed(Some((1, 2)));
    assert_eq!([live.event().await.0, live.event().await.0], [1, 2]);
    let unknown = world.live_refused("/v1/spaces/me/live?types=ghost", Some(&world.token("ann"))).await;
    unknown.expect_refusal(400, "request-invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pruned_comes_as_a_snapshot() {
    let world = tidelog_tests::WorldOptions::default().projectors(1).start().await;
    world.push("ann", &Batch::new("phone-1", 1, 30)).await.expect(200);
    world.push("ann", &Batch::new("phone-1", 31, 40)).await.expect(200);
    world.prune("ann", 30, 7).await;
    for format in ["frames", "lines"] {
        let mut live = world.live("ann", &format!("format={format}")).await;
        assert_eq!(live.hello().await["horizon"], 30);
        let Told::Snapshot(through, entities) = live.next().await else { panic!("no snapshot came") };
        assert_eq!(through, 30);
        assert!(entities > 0);
        assert_eq!(live.event().await.0, 31, "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_beyond_the_head_begins_at_zero() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect(200);
    let mut live = world.live("ann", "after=900").await;
    assert_eq!(live.hello().await["cursor"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pull_refuses_is_refused_before_the_connection_begins() {
    let world = World::new().await;
    let token = world.token("ann");
    let refused = async |path: &str, token: Option<&str>, status: u16, code: &str| {
        world.live_refused(path, token).await.expect_refusal(status, code);
    };
    refused("/v1/spaces/me/live", None, 401, "unauthorized").await;
    refused("/v1/spaces/me/live", Some("garbage"), 401, "unauthorized").await;
    refused("/v1/spaces/bob/live", Some(&token), 403, "forbidden").await;
    refused("/v1/spaces/me/live?after=-1", Some(&token), 400, "request-invalid").await;
    refused("/v1/spaces/me/live?format=json", Some(&token), 400, "request-invalid").await;
    refused("/v1/spaces/me/live?deviceId=", Some(&token), 400, "request-invalid").await;
    let no_handshake = world.request(Method::GET, "/v1/spaces/me/live", "ann");
    tidelog_tests::Answer::of(no_handshake).await.expect_refusal(400, "request-invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_shared_space_get_each_others_events_with_their_authors() {
    use tidelog_cli::token::{Access, Claims};
    let world = World::new().await;
    let token = |user: &str, access| {
        Claims::new(user, 1).with_space("team-9", access).sign(tidelog_tests::SECRET).unwrap()
    };
    let (ann, bob) = (token("ann", Access::Rw), token("bob", Access::R));
    let mut live = world.live_with("/v1/spaces/team-9/live?format=lines", &bob).await.unwrap();
    live.hello().await;
    let push = world.request_with(Method::POST, "/v1/spaces/team-9/events", Some(&ann));
    let push = push.header("content-type", "application/x-ndjson").body(Batch::new("ann-1", 1, 1).body());
    tidelog_tests::Answer::of(push).await.expect(200);
    assert_eq!(live.event().await.0, 1);
    // Who may only read may not push over the connection either.
    live.say(String::from_utf8(Batch::new("bob-1", 1, 1).body()).unwrap()).await;
    let receipt = live.notice("receipt").await;
    assert_eq!((&receipt["push"], &receipt["status"]), (&json!(1), &json!(403)));
    assert_eq!(receipt["problem"]["code"], "forbidden");
}
