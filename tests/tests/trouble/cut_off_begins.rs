//! A transaction whose beginning is cut off, as a deadline or a caller that hangs up does, leaves no connection behind in
//! which nothing is ever committed.

use std::time::Duration;

use fastrand::Rng;
use tidelog_tests::World;
use tokio::time::timeout;

const BEGINNINGS: usize = 400;
/// Some are cut off before they leave, some on their way, some after they came back.
const CUT_OFF_MICROS: u64 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_beginning_is_cut_off_does_not_stay_open() {
    let world = World::new().await;
    let mut rng = Rng::with_seed(7);
    let mut cut_off = 0;
    for _ in 0..BEGINNINGS {
        let patience = Duration::from_micros(rng.u64(0..CUT_OFF_MICROS));
        cut_off += usize::from(timeout(patience, world.pool.begin()).await.is_err());
        let row = sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(&world.pool).await.unwrap();
        let alone: bool = sqlx::Row::get(&row, 0);
        assert!(alone, "a connection of the pool is in a transaction that nobody began");
    }
    assert!(cut_off > 0, "some were cut off");
}
