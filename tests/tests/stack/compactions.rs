//! The compactor as a process that is run once: it does what it said that it would, or says that it could not.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sqlx::{Connection, PgConnection};

use super::harness::{Stack, trace};

/// The spaces of the trace.
pub const SPACES: [&str; 4] = ["user-1", "user-2", "user-3", "user-4"];

impl Stack {
    /// Has the whole history read by command and compared, in another language, with the trace; returns of each space how
    /// many events are pruned, and how many there are.
    pub async fn verify_history_from_outside(&self) -> BTreeMap<String, (u64, u64)> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("outside/verify_history.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(trace());
        for space in SPACES {
            let history = self.tidelog(&["history", space, "--json"]).await;
            assert!(history.status.success(), "{}", String::from_utf8_lossy(&history.stderr));
            let file = self.folder().join(format!("{space}.ndjson"));
            std::fs::write(&file, history.stdout).unwrap();
            command.arg(format!("{space}={}", file.display()));
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a statement of one number says; none while PostgreSQL cannot be asked.
    pub async fn number(&self, statement: &'static str) -> Option<i64> {
        let mut connection = PgConnection::connect(self.facts()["databaseUrl"].as_str()?).await.ok()?;
        sqlx::query_scalar(statement).fetch_one(&mut connection).await.ok()
    }
}

const COMPACTOR: &str = "tidelog-compactor";
/// All but the last ten events go, of whatever age.
const NOW: [(&str, &str); 4] = [
    ("TIDELOG__RETENTION__EVENTS_DAYS", "0"),
    ("TIDELOG__RETENTION__PATIENCE_DAYS", "0"),
    ("TIDELOG__RETENTION__KEEP_EVENTS", "10"),
    ("TIDELOG__RETENTION__PRUNE_EVENTS", "1"),
];

/// Runs the compactor once; returns whether it succeeded, what it printed, and what it logged.
async fn compactor(stack: &Stack, argument: &str, more: &[(&str, &str)]) -> (bool, String, String) {
    let output = stack.service(COMPACTOR, &[argument], &[&NOW[..], more].concat()).await;
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.success(), out, err)
}

/// Spaces that are pruned, objects that are listed, and snapshots.
async fn pruned(stack: &Stack) -> (i64, i64, i64) {
    let mut connection = PgConnection::connect(stack.facts()["databaseUrl"].as_str().unwrap()).await.unwrap();
    let counts = "SELECT (SELECT count(*) FROM spaces WHERE horizon > 0), (SELECT count(*) FROM archive),
                         (SELECT count(*) FROM snapshots)";
    sqlx::query_as(counts).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compactor_run_once_does_what_a_dry_run_says() {
    let stack = Stack::start(&["--compactors", "0"]).await;
    stack.replay(&[]).await;
    stack.verify_entities_from_outside().await;
    let (fine, planned, log) = compactor(&stack, "--dry-run", &[]).await;
    assert!(fine, "{log}");
    let plans: BTreeMap<&str, &str> = planned.lines().filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(plans.keys().copied().collect::<Vec<_>>(), SPACES, "{planned}");
    assert_eq!(pruned(&stack).await, (0, 0, 0), "nothing is done");

    // One space is not what its log says.
    let altered = "WITH altered AS (
                       UPDATE entities SET clocks = replace(clocks, '\"points\":{\"sum\":', '\"points\":{\"sum\":9')
                       WHERE space_id = 'user-2' RETURNING 1
                   ) SELECT count(*) FROM altered";
    assert!(stack.number(altered).await > Some(0));
    let (fine, out, log) = compactor(&stack, "--once", &[]).await;
    assert!(!fine && out.is_empty() && log.contains("1 spaces were refused, 0 failed"), "{log}");
    assert!(log.contains("user-2") && log.contains("tidelog compactor doctor"), "{log}");
    assert_eq!(pruned(&stack).await, (3, 3, 4), "the fourth snapshot is not proven");

    let rebuilt = stack.tidelog(&["projector", "rebuild", "user-2"]).await;
    assert!(rebuilt.status.success());
    for _ in 0..2 {
        let (fine, _, log) = compactor(&stack, "--once", &[]).await;
        assert!(fine && log.contains("swept all spaces"), "{log}");
        assert_eq!(pruned(&stack).await, (4, 4, 4));
    }
    for (space, (pruned, all)) in stack.verify_history_from_outside().await {
        let plan = plans[space.as_str()];
        assert!(plan.ends_with(&format!("prune through {pruned}")) && all - pruned >= 10, "{space}: {plan}");
    }
    stack.verify_entities_from_outside().await;
    let (fine, planned, _) = compactor(&stack, "--dry-run", &[]).await;
    assert!(fine && planned.lines().all(|line| line.contains("do not prune: ")), "{planned}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compactor_run_once_fails_where_it_could_not_do_its_work() {
    let stack = Stack::start(&["--compactors", "0"]).await;
    stack.replay(&[]).await;
    stack.verify_entities_from_outside().await;
    let in_the_way = stack.folder().join("in-the-way");
    std::fs::write(&in_the_way, "a file").unwrap();
    let nowhere = [("TIDELOG__ARCHIVE__URL", in_the_way.to_str().unwrap())];
    let (fine, _, log) = compactor(&stack, "--once", &nowhere).await;
    assert!(!fine && log.contains("0 spaces were refused, 4 failed"), "{log}");
    let (fine, _, log) = compactor(&stack, "--once", &[("TIDELOG__CLOCK__DAY_SECONDS", "1")]).await;
    assert!(!fine && log.contains("clock.development"), "{log}");
    let nobody = [("TIDELOG__DATABASE__URL", "postgresql://nobody@127.0.0.1:1/nothing")];
    for run in ["--once", "--dry-run"] {
        let (fine, _, log) = compactor(&stack, run, &nobody).await;
        assert!(!fine && log.contains("the spaces cannot be looked at"), "{log}");
    }
    let horizons = stack.number("SELECT count(*) FROM spaces WHERE horizon > 0").await;
    assert_eq!(horizons, Some(0), "nothing was pruned");
    let facts: Value = stack.facts();
    assert!(!Path::new(facts["archiveUrl"].as_str().unwrap()).exists(), "nothing was archived");
}
