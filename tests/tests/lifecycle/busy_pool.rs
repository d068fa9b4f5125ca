//! A gateway that has more to do than it has connections to PostgreSQL is busy, not sick: a rush that turned it not ready would
//! fall on the others, and then on nobody.

use tidelog_runtime::readiness::TOLERANCE;
use tidelog_tests::{Answer, Gateway, WorldOptions, eventually, token};

/// How long a pull waits for a connection.
const ACQUIRE_MS: u64 = 500;

async fn pull(gateway: &Gateway, user: &str) -> Answer {
    let url = format!("http://{}/v1/spaces/me/log", gateway.address);
    Answer::of(reqwest::Client::new().get(url).bearer_auth(token(user))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_stays_ready_while_all_its_connections_are_in_use() {
    let options = WorldOptions::default().ingests(0).set("database.max_connections", 2);
    let world = options.set("database.acquire_timeout_ms", ACQUIRE_MS).start().await;
    let gateway = world.gateway_to_stop().await;
    eventually("it is ready", async || gateway.readiness.is_ready().then_some(())).await;
    // Whoever reads a log waits for this, with a connection in hand.
    let mut hand = world.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE spaces IN ACCESS EXCLUSIVE MODE").execute(&mut *hand).await.unwrap();
    let busy = async { tokio::join!(pull(&gateway, "ann"), pull(&gateway, "bob")) };
    let others = async {
        world.waits_for_locks(2).await;
        // Together they wait longer than a check may fail.
        for _ in 0..TOLERANCE.as_millis() as u64 / ACQUIRE_MS + 4 {
            let refused = pull(&gateway, "cid").await;
            assert_eq!(refused.expect(503).json["code"], "overloaded");
            assert_eq!(gateway.readiness.reasons(), Vec::<String>::new());
        }
        hand.rollback().await.unwrap();
    };
    let ((ann, bob), ()) = tokio::join!(busy, others);
    ann.expect(200);
    bob.expect(200);
    pull(&gateway, "cid").await.expect(200);
}
