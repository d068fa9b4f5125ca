//! The spaces there are, and one of them.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{Answer, Batch, EventLine, World, WorldOptions, eventually};

async fn look(world: &World, path: &str) -> Answer {
    Answer::of(world.admin_request(Method::GET, &format!("/admin/v1/{path}"), "admin:read")).await
}

fn ids(page: &Answer) -> Vec<&str> {
    page.expect(200).json["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["spaceId"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn spaces_are_listed_by_the_beginning_of_their_ids_page_by_page() {
    let world = World::new().await;
    for user in ["bob", "anna", "ann", "ann-2", "ann\u{10FFFF}\u{10FFFF}", "änn", "ao"] {
        world.push(user, &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    }
    let all = ["ann", "ann-2", "anna", "ann\u{10FFFF}\u{10FFFF}", "ao", "bob", "änn"];
    assert_eq!(ids(&look(&world, "spaces").await), all);
    assert_eq!(ids(&look(&world, "spaces?query=ann").await), all[..4]);
    assert_eq!(ids(&look(&world, "spaces?query=anna").await), ["anna"]);
    assert_eq!(ids(&look(&world, "spaces?query=%C3%A4").await), ["änn"]);
    assert_eq!(ids(&look(&world, "spaces?query=c").await), Vec::<&str>::new());
    let (mut found, mut cursor) = (Vec::new(), String::new());
    for _ in 0..4 {
        let page = look(&world, &format!("spaces?query=ann&limit=1{cursor}")).await;
        found.extend(ids(&page).into_iter().map(str::to_owned));
        match &page.json["next"] {
            Value::Null => cursor = "the end".to_owned(),
            next => cursor = format!("&cursor={}", next.as_str().unwrap()),
        }
    }
    assert_eq!((found, cursor.as_str()), (all[..4].iter().map(ToString::to_string).collect(), "the end"));
    let page = look(&world, "spaces?query=ao").await;
    let ao = &page.json["items"][0];
    assert_eq!((&ao["head"], &ao["horizon"]), (&json!(3), &json!(0)));
    assert!(ao["createdAt"].is_string() && ao["lastReceivedAt"].is_string(), "{ao}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_query_of_spaces_is_refused() {
    let world = World::new().await;
    for query in ["limit=0", "limit=x", "cursor=x", "cursor=Nw", "prefix=a"] {
        look(&world, &format!("spaces?{query}")).await.expect_refusal(400, "request-invalid");
    }
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    assert_eq!(ids(&look(&world, "spaces?limit=99999999&query=").await), ["ann"]);
    for nowhere in ["%00", "ann%00", &"x".repeat(129)] {
        assert_eq!(ids(&look(&world, &format!("spaces?query={nowhere}")).await), Vec::<&str>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_shown_with_its_sizes_its_read_model_and_its_devices() {
    let world = WorldOptions::default().projectors(1).start().await;
    world.push("ann", &Batch::new("phone-1", 1, 4)).await.expect_committed(Some((1, 4)));
    let faulty = EventLine::new("tablet", 2).with("type", "UNHEARD_OF").0;
    world.push("ann", &Batch::new("tablet", 1, 2).with_line(1, faulty)).await.expect_committed(Some((5, 5)));
    world.pull("ann", "after=3&deviceId=phone-1").await.expect(200);
    let summary = eventually("it is folded, and the cursor is known", async || {
        let summary = look(&world, "spaces/ann").await.expect(200).json.clone();
        let phone = summary["devices"].as_array()?.iter().find(|device| device["deviceId"] == "phone-1")?;
        (summary["projection"]["applied"] == 5 && phone["cursor"] == 3).then(|| summary.clone())
    })
    .await;
    let sizes = &summary["sizes"];
    assert_eq!(
        (&summary["head"], &summary["horizon"], &summary["moreDevices"]),
        (&json!(5), &json!(0), &json!(false))
    );
    assert_eq!(
        (&sizes["segments"], &sizes["quarantined"], &sizes["snapshot"]),
        (&json!(2), &json!(1), &Value::Null)
    );
    assert_eq!(
        (&sizes["entities"], &sizes["archivedObjects"], &sizes["more"]),
        (&json!(2), &json!(0), &json!(false))
    );
    let stored: i64 = sqlx::query_scalar("SELECT sum(octet_length(frame))::bigint FROM segments")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(sizes["logBytes"], json!(stored));
    let projection = &summary["projection"];
    assert_eq!((&projection["behind"], &projection["rebuilding"]), (&json!(0), &json!(false)));
    let schema = Answer::of(world.request(Method::GET, "/v1/schema", "ann")).await;
    assert_eq!(projection["schemaVersion"], schema.expect(200).json["version"]);
    assert_eq!((&projection["generation"], &projection["mixed"]), (&json!(1), &json!(false)));
    assert!(projection["stateHash"]["workout"].is_string(), "{projection}");
    assert_eq!(summary["compaction"], json!({"mergedThrough": 0, "refusal": null}));
    let devices = summary["devices"].as_array().unwrap();
    let lag = |id: &str| {
        let device = devices.iter().find(|device| device["deviceId"] == id).unwrap();
        (device["userId"].clone(), device["lastSequence"].clone(), device["behind"].clone())
    };
    assert_eq!(lag("phone-1"), (json!("ann"), json!(4), json!(2)));
    assert_eq!(lag("tablet"), (json!("ann"), json!(2), json!(5)));
    assert!(devices.iter().all(|device| device["lastSeenAt"].is_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pruned_space_is_shown_with_its_snapshot_and_its_archive() {
    let world = World::new().await;
    for first in [1, 6] {
        world.push("ann", &Batch::new("phone-1", first, first + 4)).await.expect(200);
    }
    world.prune("ann", 5, 10).await;
    let summary = look(&world, "spaces/ann").await;
    let sizes = &summary.expect(200).json["sizes"];
    assert_eq!((&summary.json["head"], &summary.json["horizon"]), (&json!(10), &json!(5)));
    assert_eq!((&sizes["segments"], &sizes["archivedObjects"]), (&json!(1), &json!(1)));
    assert_eq!((&sizes["snapshot"]["through"], &sizes["snapshot"]["entities"]), (&json!(5), &json!(1)));
    assert!(sizes["archivedBytes"].as_u64().unwrap() > 0 && sizes["snapshot"]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(summary.json["projection"], Value::Null, "nothing was folded");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_devices_the_latest_are_shown_and_none_of_events_without_a_number() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    sqlx::query(
        "INSERT INTO devices (space_id, device_id, user_id, last_sequence, last_event_id, last_seen_at)
         SELECT 'ann', prefix || n, 'ann', 1, gen_random_uuid(), now() + n * interval '1 second'
         FROM generate_series(1, 120) AS n, (VALUES ('event:'), ('tablet-')) AS kinds (prefix)",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let summary = look(&world, "spaces/ann").await;
    let devices = summary.expect(200).json["devices"].as_array().unwrap();
    let names: Vec<_> =
        devices.iter().map(|device| device["deviceId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, (21..=120).rev().map(|n| format!("tablet-{n}")).collect::<Vec<_>>());
    assert_eq!(summary.json["moreDevices"], json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_is_not_there_or_was_erased_is_refused() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    look(&world, "spaces/an").await.expect_refusal(404, "not-found");
    look(&world, "spaces/nobody").await.expect_refusal(404, "not-found");
    look(&world, "spaces/%07").await.expect_refusal(400, "request-invalid");
    look(&world, "spaces/%ff").await.expect_refusal(400, "request-invalid");
    sqlx::query("INSERT INTO erasures (space_id) VALUES ('ann')").execute(&world.pool).await.unwrap();
    look(&world, "spaces/ann").await.expect_refusal(410, "space-erased");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_a_token_for_every_space_opens_no_admin_path() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    for path in ["spaces", "spaces/ann", "spaces/nobody", "pipeline", "audit"] {
        let refused =
            Answer::of(world.admin_request(Method::GET, &format!("/admin/v1/{path}"), "profile")).await;
        refused.expect_refusal(403, "forbidden");
        let public = Answer::of(world.backend_request(Method::GET, &format!("/admin/v1/{path}"))).await;
        public.expect_refusal(404, "not-found");
    }
}
