//! Where the admin API is.

use reqwest::Method;
use tidelog_tests::{Answer, Batch, World, WorldOptions};

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_is_on_its_own_listener_and_needs_its_scope() {
    let world = World::new().await;
    let look =
        async |scope: &str| Answer::of(world.admin_request(Method::GET, "/admin/v1/nothing", scope)).await;
    look("admin:read").await.expect_refusal(404, "not-found");
    look("admin").await.expect_refusal(404, "not-found");
    look("profile").await.expect_refusal(403, "forbidden");
    let public = Answer::of(world.request(Method::GET, "/admin/v1/nothing", "ann")).await;
    public.expect_refusal(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_listener_of_its_own_the_admin_api_is_on_the_public_one_and_only_its_calls_are_recorded() {
    let world = WorldOptions::default().set("admin.listen", "").start().await;
    assert_eq!(world.admin_address, world.address);
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect(200);
    world.pull("ann", "after=0").await.expect(200);
    let look = async |path: &str| Answer::of(world.admin_request(Method::GET, path, "admin")).await;
    look("/admin/v1/spaces/ann").await.expect(200);
    look("/admin/v1/nothing").await.expect_refusal(404, "not-found");
    look("/nothing").await.expect_refusal(404, "not-found");
    look("/openapi.json").await.expect(200);
    let refused = Answer::of(world.request(Method::GET, "/admin/v1/spaces/ann", "ann")).await;
    refused.expect_refusal(403, "forbidden");
    let paths: Vec<String> = sqlx::query_scalar("SELECT path FROM admin_audit ORDER BY at, id")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(paths.len(), 3, "{paths:?}");
    assert!(paths.iter().all(|path| path.starts_with("/admin/v1/")), "{paths:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_a_path_does_not_take_is_refused_to_those_alone_who_may_look() {
    let world = World::new().await;
    let post =
        async |scope: &str| Answer::of(world.admin_request(Method::POST, "/admin/v1/spaces", scope)).await;
    let refused = post("admin:read").await;
    refused.expect_refusal(405, "method-not-allowed");
    assert!(refused.headers["allow"].to_str().unwrap().contains("GET"), "{:?}", refused.headers);
    assert_eq!(refused.headers["cache-control"], "no-store");
    post("profile").await.expect_refusal(403, "forbidden");
}
