//! Reading the audit.

use reqwest::Method;
use serde_json::Value;
use tidelog_tests::{Answer, World};

/// Calls of two people about two spaces, several at the same time; in order of time, the earliest first.
async fn fill(world: &World, calls: i64) {
    sqlx::query(
        "INSERT INTO admin_audit (space_id, at, id, actor, scope, action, method, path, query, status)
         SELECT (ARRAY['', 'ann', 'bob'])[1 + n % 3], timestamptz '2026-01-01' + n / 4 * interval '1 second',
                gen_random_uuid(), (ARRAY['eve', 'ian'])[1 + n % 2], 'admin:read',
                (ARRAY['events.read', 'state.read'])[1 + n % 5 / 4], 'GET', '/n/' || n, '', 200
         FROM generate_series(0, $1 - 1) AS n",
    )
    .bind(calls)
    .execute(&world.pool)
    .await
    .unwrap();
}

async fn page(world: &World, query: &str) -> Answer {
    Answer::of(world.admin_request(Method::GET, &format!("/admin/v1/audit?{query}"), "admin:read")).await
}

/// The paths of all calls that the query finds among those that were filled in, page by page; and how many pages it took.
async fn all(world: &World, query: &str) -> (Vec<String>, usize) {
    let (mut paths, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let cursor_param = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let end = if query.contains("to=") { "" } else { "to=2026-01-02T00:00:00Z&" };
        let answer = page(world, &format!("{end}{query}{cursor_param}")).await;
        let items = answer.expect(200).json["items"].as_array().unwrap();
        paths.extend(items.iter().map(|item| item["path"].as_str().unwrap().to_owned()));
        pages += 1;
        match &answer.json["next"] {
            Value::Null => return (paths, pages),
            next => cursor = Some(next.as_str().unwrap().to_owned()),
        }
    }
}

fn sorted(mut paths: Vec<String>) -> Vec<String> {
    paths.sort_unstable();
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_every_call_once_the_latest_first() {
    let world = World::new().await;
    fill(&world, 60).await;
    let (whole, pages) = all(&world, "limit=1000").await;
    assert_eq!((whole.len(), pages), (60, 1));
    let second_of = |path: &String| path.trim_start_matches("/n/").parse::<u64>().unwrap() / 4;
    assert!(whole.is_sorted_by(|a, b| second_of(a) >= second_of(b)), "{whole:?}");
    for limit in [1, 7, 59, 60] {
        let (paths, _) = all(&world, &format!("limit={limit}")).await;
        assert_eq!(paths, whole, "limit {limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_hold_alone_and_together() {
    let world = World::new().await;
    fill(&world, 60).await;
    let expect =
        |keep: fn(u64) -> bool| sorted((0..60).filter(|n| keep(*n)).map(|n| format!("/n/{n}")).collect());
    let check = async |query: &str, keep: fn(u64) -> bool| {
        let (paths, _) = all(&world, query).await;
        assert_eq!(sorted(paths), expect(keep), "{query}");
    };
    check("space=ann", |n| n % 3 == 1).await;
    check("actor=ian&limit=4", |n| n % 2 == 1).await;
    check("action=state.read&limit=5", |n| n % 5 == 4).await;
    check("action=state.read&actor=eve&space=bob&limit=1", |n| n % 5 == 4 && n % 2 == 0 && n % 3 == 2).await;
    check("from=2026-01-01T00:00:05Z", |n| n / 4 >= 5).await;
    check("from=2026-01-01T00:00:02Z&to=2026-01-01T00:00:04Z", |n| (2..4).contains(&(n / 4))).await;
    check("actor=nobody", |_| false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_looks_at_so_many_calls_and_says_where_to_go_on() {
    let world = World::new().await;
    fill(&world, 10_050).await;
    sqlx::query("UPDATE admin_audit SET action = 'rare.read' WHERE path IN ('/n/3', '/n/10049')")
        .execute(&world.pool)
        .await
        .unwrap();
    let (paths, pages) = all(&world, "action=rare.read").await;
    assert_eq!((paths, pages), (vec!["/n/10049".to_owned(), "/n/3".to_owned()], 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_shown_with_all_that_is_known_of_it() {
    let world = World::new().await;
    Answer::of(world.admin_request(Method::GET, "/admin/v1/spaces/ann?x=1", "admin")).await;
    let answer = page(&world, "space=ann&limit=2").await;
    let items = answer.expect(200).json["items"].as_array().unwrap();
    // The call that reads the audit names the space, too.
    assert_eq!(items.len(), 2);
    assert_eq!((&items[0]["action"], &items[0]["status"]), (&"audit.read".into(), &Value::Null));
    let call = &items[1];
    for (key, expect) in [
        ("actor", "support"),
        ("scope", "admin"),
        ("action", "spaces.read"),
        ("method", "GET"),
        ("path", "/admin/v1/spaces/ann"),
        ("query", "x=1"),
        ("space", "ann"),
        ("remoteAddress", "127.0.0.1"),
    ] {
        assert_eq!(call[key], expect, "{key}");
    }
    assert_eq!((&call["status"], &call["userAgent"]), (&404.into(), &Value::Null));
    assert!(call["at"].as_str().unwrap().ends_with('Z') && call["id"].as_str().unwrap().len() == 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_query_of_the_audit_is_refused() {
    let world = World::new().await;
    for query in ["limit=0", "limit=-1", "limit=many", "cursor=x", "cursor=e30", "from=yesterday", "who=ann"]
    {
        page(&world, query).await.expect_refusal(400, "request-invalid");
    }
    for nowhere in ["space=%00", "space=%20", "actor=%07", "action=%00"] {
        assert_eq!(page(&world, nowhere).await.expect(200).json["items"], serde_json::json!([]), "{nowhere}");
    }
    page(&world, "from=0001-01-01T00:00:00Z&to=9999-12-30T22:00:00Z").await.expect(200);
    page(&world, "from=-009999-01-02T01:59:59Z&limit=9007199254740991").await.expect(200);
}
