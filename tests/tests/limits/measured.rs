//! What happens is in the metrics: requests by endpoint, the stages of the pipeline, what devices tell of their syncs. The
//! process is shared with the other tests here, so exact numbers are of what they do not do.
#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{
    Answer, Batch, EventLine, Fault, Proxy, World, WorldOptions, broker_address, eventually, metric,
    metric_of,
};

/// Something to count with, from before the world begins.
fn recorded() {
    metric("tidelog_ready");
}

fn requests(endpoint: &str, status: &str) -> f64 {
    metric_of("tidelog_gateway_requests_total", &[("endpoint", endpoint), ("status", status)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_counted_once_by_its_endpoint_and_what_it_was_answered_with() {
    recorded();
    let options = WorldOptions::default().set("server.request_timeout_ms", 300);
    let world = options.set("gateway.at_least_wait_ms", 60_000).start().await;
    let get = async |path: &str| Answer::of(world.request(Method::GET, path, "ann")).await;

    get("/v1/spaces/me/entities/workout/none").await.expect(404);
    assert_eq!(requests("entity", "4xx"), 1.0);
    get("/v1/spaces/me/live").await.expect_refusal(400, "request-invalid");
    assert_eq!(requests("live", "4xx"), 1.0, "what is no handshake connects nobody");
    let long = format!("/v1/devices?x={}", "x".repeat(9000));
    get(&long).await.expect_refusal(400, "request-invalid");
    assert_eq!(requests("devices", "4xx"), 1.0, "the gate's refusals count, too");
    get("/v1/spaces/me/entities/workout?atLeast=7").await.expect_refusal(408, "request-timeout");
    assert_eq!(requests("entities", "4xx"), 1.0, "and what was not answered in time");
    get("/v1/devices").await.expect(200);
    assert_eq!(requests("devices", "2xx"), 1.0);

    let other = requests("other", "4xx");
    get("/v1/none").await.expect_refusal(404, "not-found");
    assert!(requests("other", "4xx") > other);
    Answer::of(world.admin_request(Method::GET, "/admin/v1/audit", "admin:read")).await.expect(200);
    Answer::of(world.admin_request(Method::GET, "/admin/v1/pipeline", "nothing")).await.expect(403);
    assert_eq!((requests("admin_list_audit", "2xx"), requests("admin_pipeline", "4xx")), (1.0, 1.0));

    for endpoint in ["entity", "live", "entities", "admin_list_audit"] {
        let labels = [("endpoint", endpoint)];
        assert_eq!(metric_of("tidelog_gateway_request_seconds_count", &labels), 1.0, "{endpoint}");
        assert_eq!(metric_of("tidelog_gateway_requests_under_way", &labels), 0.0, "{endpoint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_quarantine_is_counted_by_code_and_what_lies_there_is_shown() {
    recorded();
    let world = World::new().await;
    let stages = |name: &'static str, stage: &'static str| metric_of(name, &[("stage", stage)]);
    let mut batch = Batch::new("phone-1", 1, 4);
    for sequence in [2, 3] {
        let line = EventLine::new("phone-1", sequence).with("type", "NEVER_HEARD_OF").0;
        batch = batch.with_line(sequence as usize - 1, line);
    }
    world.push("ann", &batch).await.expect(200);
    let code = [("code", "event-unknown-type")];
    assert_eq!(metric_of("tidelog_ingest_quarantined_events_total", &code), 2.0);
    world.push("ann", &batch).await.expect(200);
    assert_eq!(
        metric_of("tidelog_ingest_quarantined_events_total", &code),
        2.0,
        "a duplicate is no other event"
    );
    eventually("quarantine is looked at", async || {
        (metric("tidelog_ingest_quarantine_events") == 2.0).then_some(())
    })
    .await;
    for stage in ["receive", "judge", "publish", "commit"] {
        assert!(stages("tidelog_gateway_push_stage_seconds_count", stage) >= 2.0, "{stage}");
    }
    for stage in ["queued", "commit"] {
        assert!(stages("tidelog_ingest_stage_seconds_count", stage) >= 2.0, "{stage}");
    }
    eventually("LOG has the segment", async || {
        (stages("tidelog_ingest_stage_seconds_count", "announced") >= 1.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_ingest_and_for_the_projector_is_shown_and_how_late_it_is() {
    recorded();
    let world = WorldOptions::default().set("gateway.commit_wait_ms", 100).projectors(1).start().await;
    world.push_until_committed("ann", &Batch::new("phone-1", 1, 1)).await;
    let folded = || metric("tidelog_projector_lag_seconds_count");
    eventually("it is folded", async || (folded() >= 1.0).then_some(())).await;

    let mut lock = world.pool.begin().await.unwrap();
    let held = "SELECT FROM projections WHERE space_id = 'ann' FOR UPDATE";
    sqlx::query(held).fetch_one(&mut *lock).await.unwrap();
    world.push_until_committed("ann", &Batch::new("phone-1", 2, 6)).await;
    eventually("the space is behind", async || {
        (metric("tidelog_projector_behind_events") == 5.0).then_some(())
    })
    .await;
    eventually("its message is not settled", async || {
        let open = metric_of("tidelog_broker_consumer_in_flight", &[("stream", "log")]);
        (open >= 1.0).then_some(())
    })
    .await;
    let late = metric("tidelog_projector_lag_seconds_sum");
    lock.rollback().await.unwrap();
    eventually("it is folded, and was late", async || {
        (metric("tidelog_projector_lag_seconds_sum") > late + 0.1).then_some(())
    })
    .await;
    eventually("nothing is behind", async || {
        (metric("tidelog_projector_behind_events") == 0.0).then_some(())
    })
    .await;

    let mut lock = world.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM spaces WHERE space_id = 'ann' FOR UPDATE").fetch_one(&mut *lock).await.unwrap();
    world.push("ann", &Batch::new("phone-1", 7, 7)).await.expect(202);
    eventually("a batch waits in PUSH", async || {
        (metric("tidelog_ingest_oldest_pending_seconds") > 0.0).then_some(())
    })
    .await;
    lock.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_is_shown_and_a_broker_that_is_away_is_no_number() {
    recorded();
    let proxy = Proxy::start(broker_address().await).await;
    let world = WorldOptions::default().broker_through(&proxy).start().await;
    let stored = || metric_of("tidelog_broker_stream_bytes_max", &[("stream", "push")]);
    eventually("PUSH is looked at", async || (stored() > 0.0).then_some(())).await;
    eventually("the database is pinged", async || {
        let pool = metric("tidelog_database_connections");
        (metric("tidelog_database_ping_seconds_count") > 0.0 && pool > 0.0).then_some(())
    })
    .await;
    assert_eq!(metric("tidelog_database_connections_max"), 6.0);
    world.compact().await;
    assert!(metric("tidelog_compactor_last_sweep_seconds") > 1_700_000_000.0);

    proxy.set(Fault::Cut);
    proxy.set(Fault::Refuse);
    eventually("PUSH is not known", async || stored().is_nan().then_some(())).await;
    proxy.set(Fault::Pass);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_devices_tell_of_their_syncs_is_counted_once_an_answer_in_bounded_numbers() {
    recorded();
    let world = World::new().await;
    let syncs = |outcome: &str| metric_of("tidelog_gateway_device_syncs_total", &[("outcome", outcome)]);
    let failures = |cause: &str| metric_of("tidelog_gateway_device_sync_failures_total", &[("cause", cause)]);
    let tell = async |path: &str, report: Value| {
        let request = world.request(Method::GET, path, "ann").header("Tidelog-Report", report.to_string());
        Answer::of(request).await
    };
    let pull = "/v1/spaces/me/log?after=0&deviceId=phone-1";
    let report = json!({"pending": 3, "syncs": {"succeeded": 5, "failed": {"offline": 2, "gremlins": 1}}});
    tell(pull, report.clone()).await.expect(200);
    assert_eq!((syncs("succeeded"), syncs("failed")), (5.0, 3.0));
    assert_eq!((failures("offline"), failures("other"), failures("timeout")), (2.0, 1.0, 0.0));

    tell("/v1/spaces/bob/log?after=0", report).await.expect_refusal(403, "forbidden");
    tell(pull, json!({"pending": 3})).await.expect(200);
    tell(pull, json!({"syncs": {"succeeded": 5, "lost": 1}})).await.expect(200);
    tell(pull, json!({"syncs": {"failed": {"offline": -1}}})).await.expect(200);
    assert_eq!(
        (syncs("succeeded"), syncs("failed")),
        (5.0, 3.0),
        "what is refused or unreadable counts nothing"
    );

    let much =
        json!({"syncs": {"succeeded": 1_u64 << 40, "failed": {"timeout": u64::MAX, "a": 9_999, "b": 9_999}}});
    tell(pull, much).await.expect(200);
    assert_eq!((syncs("succeeded"), syncs("failed")), (10_005.0, 20_003.0), "a liar adds no more than that");
}
