//! `tidelog inspect` on a running gateway.

use serde_json::{Value, json};
use tidelog_cli::inspect::{InspectOptions, text};
use tidelog_cli::token::Claims;
use tidelog_events::id::SpaceId;
use tidelog_tests::{Batch, SECRET, World, WorldOptions, eventually};

fn options(world: &World, space: &str, scope: &str) -> InspectOptions {
    let token = Claims::new("support", 1).with_scope(scope).sign(SECRET).unwrap();
    InspectOptions {
        space: SpaceId::new(space).unwrap(),
        events: 10,
        follow: false,
        json: false,
        url: Some(format!("http://{}/", world.admin_address)),
        token: Some(token),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_inspected_over_the_admin_api() {
    let world = WorldOptions::default().projectors(1).start().await;
    let space = "team/9 \"x\"";
    world.push(space, &Batch::new("phone-1", 1, 4)).await.expect_committed(Some((1, 4)));
    let options = options(&world, space, "admin:read");
    let shown = eventually("it is folded", async || {
        let shown = text(&options, false).await.unwrap();
        shown.contains("folded through position 4").then_some(shown)
    })
    .await;
    assert!(shown.starts_with("Space team/9 \"x\"\n  log         4 events\n"), "{shown}");
    assert!(shown.contains("\nDevices\n  phone-1 of team/9 \"x\": "), "{shown}");
    assert!(shown.contains(", sent 4, seen "), "{shown}");
    let json = text(&InspectOptions { json: true, ..options }, false).await.unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["space"]["head"], &json["space"]["devices"][0]["lastSequence"]),
        (&json!(4), &json!(4))
    );
    let audited: Vec<String> = sqlx::query_scalar("SELECT DISTINCT user_agent FROM admin_audit")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(audited, ["tidelog-inspect"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_inspected_is_said_in_a_sentence() {
    let world = World::new().await;
    let nothing = text(&options(&world, "nobody", "admin:read"), false).await.unwrap_err();
    assert_eq!(format!("{nothing:#}"), "there is no space nobody");
    let refused = text(&options(&world, "nobody", "profile"), false).await.unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.starts_with("the admin API refused: 403 forbidden: "), "{refused}");
    let away =
        InspectOptions { url: Some("http://127.0.0.1:1".to_owned()), ..options(&world, "ann", "admin") };
    let away = format!("{:#}", text(&away, false).await.unwrap_err());
    assert!(away.starts_with("the admin API cannot be reached: "), "{away}");
}
