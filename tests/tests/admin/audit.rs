//! Every call of the admin API is recorded, or not answered.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use sqlx::{PgPool, Row};
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;
use tidelog_tests::{Answer, Batch, World, WorldOptions, eventually};

const NOON: UtcTime = UtcTime(1_754_481_600_000);
const DAY: Duration = Duration::from_hours(24);

/// A row of the audit.
#[derive(Debug, PartialEq, Eq)]
struct Recorded {
    actor: String,
    scope: String,
    action: String,
    method: String,
    path: String,
    query: String,
    space: String,
    status: Option<i16>,
    remote_address: Option<String>,
    user_agent: Option<String>,
}

/// The rows, in the order of the calls.
async fn recorded(pool: &PgPool) -> Vec<Recorded> {
    let rows = "SELECT *, host(remote_address) AS host FROM admin_audit ORDER BY at, id";
    let rows = sqlx::query(rows).fetch_all(pool).await.unwrap();
    let row = |row: &sqlx::postgres::PgRow| Recorded {
        actor: row.get("actor"),
        scope: row.get("scope"),
        action: row.get("action"),
        method: row.get("method"),
        path: row.get("path"),
        query: row.get("query"),
        space: row.get("space_id"),
        status: row.get("status"),
        remote_address: row.get("host"),
        user_agent: row.get("user_agent"),
    };
    rows.iter().map(row).collect()
}

async fn actions(pool: &PgPool) -> Vec<String> {
    recorded(pool).await.into_iter().map(|recorded| recorded.action).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_every_admin_call_leaves_one_row_with_who_what_when_and_from_where() {
    let (clock, time) = Clock::manual(NOON);
    let world = WorldOptions::default().clock(clock).start().await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect(200);
    let calls = [
        (Method::GET, "/admin/v1/spaces", "limit=5&query=an", "spaces.read", "", 200),
        (Method::GET, "/admin/v1/spaces/ann", "", "spaces.read", "ann", 200),
        (Method::GET, "/admin/v1/spaces/nobody", "", "spaces.read", "nobody", 404),
        (Method::GET, "/admin/v1/spaces", "limit=x", "spaces.read", "", 400),
        (Method::GET, "/admin/v1/pipeline", "", "pipeline.read", "", 200),
        (Method::GET, "/admin/v1/audit", "space=ann", "audit.read", "ann", 200),
        (Method::HEAD, "/admin/v1/audit", "", "audit.read", "", 200),
        (Method::POST, "/admin/v1/audit", "", "audit.write", "", 405),
        (Method::GET, "/admin/v1/nothing/there", "space=%00", "unknown", "", 404),
    ];
    let mut expected = Vec::new();
    for (method, path, query, action, space, status) in calls {
        time.advance(Duration::from_secs(1));
        let uri = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let request = world.admin_request(method.clone(), &uri, "admin:read");
        Answer::of(request.header("User-Agent", "support-desk/7")).await.expect(status);
        expected.push(Recorded {
            actor: "support".to_owned(),
            scope: "admin:read".to_owned(),
            action: action.to_owned(),
            method: method.to_string(),
            path: path.to_owned(),
            query: query.to_owned(),
            space: space.to_owned(),
            status: Some(status.cast_signed()),
            remote_address: Some("127.0.0.1".to_owned()),
            user_agent: Some("support-desk/7".to_owned()),
        });
    }
    assert_eq!(recorded(&world.pool).await, expected);
    let times: Vec<i64> =
        sqlx::query_scalar("SELECT (extract(epoch FROM at) * 1000)::bigint FROM admin_audit ORDER BY at")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert_eq!(times, (1..=9).map(|second| NOON.0 + 1000 * second).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_every_operation_of_the_description_is_recorded() {
    let world = World::new().await;
    let description = Answer::of(world.admin_request(Method::GET, "/openapi.json", "")).await;
    let paths = description.expect(200).json["paths"].as_object().unwrap().clone();
    let mut calls = 0;
    for (template, item) in &paths {
        let path = template.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        for method in item.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            Answer::of(world.admin_request(method, &path, "admin")).await;
            calls += 1;
        }
    }
    assert!(calls >= 4, "{paths:?}");
    let rows = recorded(&world.pool).await;
    assert_eq!(rows.len(), calls);
    assert!(rows.iter().all(|row| row.status.is_some() && row.action != "unknown"), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lacks_the_scope_is_refused_and_recorded_and_who_is_unknown_is_refused() {
    let world = World::new().await;
    let path = "/admin/v1/spaces/ann";
    Answer::of(world.admin_request(Method::GET, path, "profile")).await.expect_refusal(403, "forbidden");
    let url = format!("http://{}{path}", world.admin_address);
    let unknown = Answer::of(reqwest::Client::new().get(&url)).await;
    unknown.expect_refusal(401, "unauthorized");
    assert_eq!(unknown.headers["www-authenticate"], "Bearer");
    Answer::of(reqwest::Client::new().get(&url).bearer_auth("a.b.c"))
        .await
        .expect_refusal(401, "unauthorized");
    let rows = recorded(&world.pool).await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row.scope.as_str(), row.status, row.space.as_str()), ("profile", Some(403), "ann"));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_what_cannot_be_recorded_is_not_answered_and_reveals_nothing() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect(200);
    let rename = async |from: &str, to: &str| {
        let statement = format!("ALTER TABLE {from} RENAME TO {to}");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&world.pool).await.unwrap();
    };
    rename("admin_audit", "elsewhere").await;
    let mut bodies = Vec::new();
    for path in ["/admin/v1/spaces/ann", "/admin/v1/spaces/nobody", "/admin/v1/nothing", "/admin/v1/pipeline"]
    {
        let refused = Answer::of(world.admin_request(Method::GET, path, "admin")).await;
        refused.expect_refusal(503, "overloaded");
        assert_eq!(refused.headers["retry-after"], "1");
        let mut problem = refused.json;
        problem.as_object_mut().unwrap().remove("requestId").unwrap();
        bodies.push(problem);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the answer is the same whatever there is");
    rename("elsewhere", "admin_audit").await;
    assert_eq!(actions(&world.pool).await, Vec::<String>::new());
    let answer = Answer::of(world.admin_request(Method::GET, "/admin/v1/spaces/ann", "admin")).await;
    answer.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_a_call_waits_for_its_record_and_is_refused_where_that_takes_too_long() {
    let world = World::new().await;
    let mut lock = world.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE admin_audit IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let refused = Answer::of(world.admin_request(Method::GET, "/admin/v1/spaces", "admin")).await;
    refused.expect_refusal(503, "overloaded");
    lock.rollback().await.unwrap();
    let answer = Answer::of(world.admin_request(Method::GET, "/admin/v1/spaces", "admin")).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_kept_for_so_many_days_and_then_deleted() {
    let (clock, time) = Clock::manual(NOON);
    let world = WorldOptions::default().clock(clock).set("admin.audit_days", 30).start().await;
    let look = async |path: &str| {
        Answer::of(world.admin_request(Method::GET, path, "admin")).await.expect(200);
    };
    look("/admin/v1/spaces").await;
    time.advance(10 * DAY);
    look("/admin/v1/pipeline").await;
    time.advance(20 * DAY);
    look("/admin/v1/audit").await;
    assert_eq!(actions(&world.pool).await, ["spaces.read", "pipeline.read", "audit.read"]);
    time.advance(DAY);
    eventually("the oldest call is deleted", async || {
        (actions(&world.pool).await == ["pipeline.read", "audit.read"]).then_some(())
    })
    .await;
    time.advance(365 * DAY);
    eventually("all are deleted", async || actions(&world.pool).await.is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_one_statement_deletes_are_deleted_too() {
    let (clock, time) = Clock::manual(NOON);
    let world = WorldOptions::default().clock(clock).start().await;
    sqlx::query(
        "INSERT INTO admin_audit (space_id, at, id, actor, scope, action, method, path, query)
         SELECT 's' || n % 7, timestamptz 'epoch' + ($1 + n) * interval '1 millisecond', gen_random_uuid(), 'a', '',
                'x.read', 'GET', '/', ''
         FROM generate_series(1, 2500) AS n",
    )
    .bind(NOON.0)
    .execute(&world.pool)
    .await
    .unwrap();
    time.advance(401 * DAY);
    eventually("all are deleted", async || actions(&world.pool).await.is_empty().then_some(())).await;
}
