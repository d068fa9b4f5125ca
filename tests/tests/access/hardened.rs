//! A whole installation with TLS everywhere, in which each service has no more rights than are shipped: everything works.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_cli::token::{Access, Claims};
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::{Clock, ManualTime};
use tidelog_runtime::config::Sources;
use tidelog_tests::{Answer, Batch, EventLine, LiveConnection, SECRET, World, eventually};

use super::servers::Servers;

/// 2025-08-06T12:00:00Z.
const NOON: UtcTime = UtcTime(1_754_481_600_000);
const PAST_RETENTION: Duration = Duration::from_hours(24 * 31);
const PUSH_MAX_BYTES: u64 = 256 << 10;

async fn admin(world: &World, method: Method, path: &str) -> Answer {
    Answer::of(world.admin_request(method, &format!("/admin/v1/{path}"), "admin")).await
}

/// What a JSON answer of the admin API says, once it is as it should be.
async fn shows(world: &World, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(path, async || {
        let said = admin(world, Method::GET, path).await.expect(200).json.clone();
        is_so(&said).then_some(said)
    })
    .await
}

/// The command itself, with its own user and role.
async fn migrate(servers: &Servers) {
    let url = servers.database.url("migrate", &servers.authority);
    let own = servers.authority.issue("migrate", "migrate", &[]);
    let environment = [
        ("BROKER__URL", servers.nats.url("migrate")),
        ("BROKER__TLS_CA_FILE", servers.authority.certificate.display().to_string()),
        ("BROKER__TLS_CERTIFICATE_FILE", own.certificate.display().to_string()),
        ("BROKER__TLS_KEY_FILE", own.key.display().to_string()),
        ("BROKER__PUSH_MAX_BYTES", PUSH_MAX_BYTES.to_string()),
        ("BROKER__LOG_MAX_BYTES", PUSH_MAX_BYTES.to_string()),
        ("DATABASE__URL", url),
    ];
    let environment: BTreeMap<_, _> =
        environment.into_iter().map(|(key, value)| (format!("TIDELOG__{key}"), value)).collect();
    tidelog_cli::migrate::run(&Sources { file: None, environment }).await.unwrap();
}

async fn devices_push_and_read(world: &World) {
    let unknown =
        EventLine::new("phone-1", 2).with("type", "NOTE_ADDED").with("payload", json!({"notes": "x"}));
    let batch = Batch::new("phone-1", 1, 4).with_line(1, unknown.0);
    world.push("ann", &batch).await.expect_committed(Some((1, 3)));
    let (waited, ()) = tokio::join!(world.pull("ann", "after=3&wait=20"), async {
        world.push("ann", &Batch::new("phone-2", 1, 2)).await.expect_committed(Some((4, 5)));
    });
    waited.expect(200);
    assert_eq!(world.whole_log("ann").await.len(), 5);
    let read = world.request(Method::GET, "/v1/spaces/me/entities/workout?atLeast=5", "ann");
    Answer::of(read).await.expect(200);
    let own = world.request(Method::GET, "/v1/spaces/me/devices/phone-1/events?from=1&to=4", "ann");
    Answer::of(own).await.expect(200);
}

async fn live_connections_hear_of_events_and_of_each_other(world: &World) {
    let token = |user: &str| {
        Claims::from_time(world.clock.now(), user, 1).with_space("ann", Access::R).sign(SECRET).unwrap()
    };
    let mut joined: Vec<LiveConnection> = Vec::new();
    for user in ["ann", "bob"] {
        let path = format!("/v1/spaces/ann/live?after=5&deviceId={user}-1");
        let mut live = world.live_with(&path, &token(user)).await.unwrap();
        live.hello().await;
        joined.push(live);
    }
    world.push("ann", &Batch::new("phone-2", 3, 3)).await.expect_committed(Some((6, 6)));
    assert_eq!(joined[1].event().await.0, 6);
    joined[0].say(json!({"presence": {"state": "here"}}).to_string()).await;
    assert_eq!(joined[1].notice("presence").await["state"], "here");
}

async fn support_looks_and_acts(world: &World, time: &ManualTime) {
    let report = json!({"pending": 7}).to_string();
    eventually("what a device tells is seen", async || {
        let pull = world.request(Method::GET, "/v1/spaces/me/log?after=6&deviceId=phone-1", "ann");
        Answer::of(pull.header("Tidelog-Report", &report)).await.expect(200);
        let said = admin(world, Method::GET, "spaces/ann/devices").await.expect(200).json.clone();
        said["items"].as_array()?.iter().any(|device| device["pending"] == 7).then_some(())
    })
    .await;
    for action in ["revoke", "restore"] {
        let path = format!("spaces/ann/devices/phone-2/{action}");
        admin(world, Method::POST, &path).await.expect(200);
        // Of two commands of one moment the first holds.
        time.advance(Duration::from_secs(1));
    }
    let bad = EventLine::new("phone-9", 1).with("type", "NEVER_HEARD_OF").0;
    world.push("ann", &Batch::new("phone-9", 1, 1).with_line(0, bad)).await.expect(200);
    let listed =
        shows(world, "quarantine?space=ann&deviceId=phone-9", |said| said["items"][0].is_object()).await;
    let id = listed["items"][0]["id"].as_str().unwrap();
    admin(world, Method::POST, &format!("quarantine/{id}/dismiss")).await.expect(200);
    for path in ["spaces?query=ann", "spaces/ann", "spaces/ann/events", "spaces/ann/state?at=6", "audit"] {
        admin(world, Method::GET, path).await.expect(200);
    }
    shows(world, "pipeline", |said| said["rates"].is_object() && said["away"] == json!([])).await;
}

fn large(sequence: u64) -> Batch {
    let mut random = fastrand::Rng::with_seed(sequence);
    let name: String = (0..20 << 10).map(|_| random.alphanumeric()).collect();
    let line = EventLine::new("tablet", sequence).with("type", "WORKOUT_CREATED");
    Batch::new("tablet", sequence, sequence).with_line(0, line.with("payload", json!({"name": name})).0)
}

/// More than PUSH holds: a gateway that finds it full asks for room, and ingest makes it.
async fn committed_batches_make_room(world: &World) {
    let mut bytes = 0;
    for sequence in 1..=20 {
        bytes += large(sequence).frame().len() as u64;
        world.push_until_committed("bob", &large(sequence)).await.expect(200);
    }
    assert!(bytes > PUSH_MAX_BYTES, "{bytes}");
}

/// What either service misses it creates itself.
async fn missing_streams_are_made_again(world: &World) {
    let streams = async_nats::jetstream::new(world.broker.client().clone());
    for stream in ["PUSH", "LOG"] {
        streams.delete_stream(stream).await.unwrap();
    }
    world.push_until_committed("eve", &Batch::new("phone-3", 1, 3)).await.expect(200);
    eventually("the projector has its consumer again", async || {
        let log = streams.get_stream("LOG").await.ok()?;
        log.consumer_info("projector").await.ok().map(drop)
    })
    .await;
    world.assert_read_model_is_right("eve").await;
}

/// The read models are made again from snapshot and log, and what the older schema did not know is released.
async fn a_new_schema_rebuilds(world: &World) {
    let schema = include_str!("../../../config/fitness.yaml").replace("\nversion: 3\n", "\nversion: 4\n");
    world.write_schema(&(schema + "\n  NOTE_ADDED: { entity: workout, payload: { notes: required } }\n"));
    eventually("version 4 has folded ann's space, and the event is released", async || {
        let folded: i64 = sqlx::query_scalar("SELECT schema_version FROM projections WHERE space_id = 'ann'")
            .fetch_one(&world.pool)
            .await
            .ok()?;
        let held = "SELECT count(*) FROM quarantine WHERE device_id = 'phone-1'";
        let held: i64 = sqlx::query_scalar(held).fetch_one(&world.pool).await.ok()?;
        (folded == 4 && held == 0).then_some(())
    })
    .await;
    world.assert_read_model_is_right("ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_works_with_tls_and_no_more_rights_than_are_shipped() {
    let mut servers = Servers::start().await;
    migrate(&servers).await;
    let (clock, time) = Clock::manual(NOON);
    let options = servers.world().set("broker.push_max_bytes", PUSH_MAX_BYTES);
    let options = options.set("broker.log_max_bytes", PUSH_MAX_BYTES).set("ingest.trim_interval_ms", 600_000);
    let options = options.set("ingest.release_interval_seconds", 1).set("admin.sample_interval_ms", 50);
    let options = options.set("projector.sweep_interval_ms", 200).set("retention.keep_events", 0);
    let options = options.set("retention.prune_events", 1).set("retention.patience_days", 0);
    let world = options.set("compactor.merge_after_hours", 1).clock(clock).start().await;

    devices_push_and_read(&world).await;
    live_connections_hear_of_events_and_of_each_other(&world).await;
    support_looks_and_acts(&world, &time).await;
    committed_batches_make_room(&world).await;
    missing_streams_are_made_again(&world).await;
    world.assert_read_model_is_right("bob").await;
    time.advance(PAST_RETENTION);
    world.push_until_committed("ann", &Batch::new("phone-2", 4, 4)).await.expect(200);
    world.assert_read_model_is_right("ann").await;
    let swept = world.compact().await;
    assert!(swept.pruned >= 1 && (swept.refused, swept.failed) == (0, 0), "{swept:?}");
    assert!(world.horizon("ann").await >= 6);
    a_new_schema_rebuilds(&world).await;
    assert!(!servers.nats.words().contains("iolation"), "{}", servers.nats.words());
    servers.nats.restart().await;
    world.push_until_committed("ann", &Batch::new("phone-2", 5, 5)).await.expect(200);

    assert!(!servers.nats.words().contains("iolation"), "{}", servers.nats.words());
    let words = servers.database.words();
    let refused: Vec<_> = words.lines().filter(|line| line.contains("denied")).collect();
    assert!(refused.is_empty(), "{refused:?}");
}
