//! The entities of a stack, read from outside and held against an independent fold of the trace.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Row};
use tidelog_tests::eventually;

use super::harness::{Stack, trace};

impl Stack {
    /// Waits until every space is folded to its head, then has entities, entity lines and state hashes compared with
    /// an independent fold in Python.
    pub async fn verify_entities_from_outside(&self) {
        let rows = eventually("every space is folded to its head", async || self.folded_rows().await).await;
        let rows_file = self.folder().join("rows.json");
        std::fs::write(&rows_file, rows.to_string()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("outside/verify_entities.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(self.file()).arg(rows_file).arg(trace());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// `{space: {stateHash, lines}}` as PostgreSQL holds it; none while it cannot be asked or a space is behind.
    pub async fn folded_rows(&self) -> Option<Value> {
        let mut connection = PgConnection::connect(self.facts()["databaseUrl"].as_str()?).await.ok()?;
        let spaces = sqlx::query(
            "SELECT space_id, state_hash, head = applied AS folded,
                    ARRAY(SELECT clocks FROM entities
                          WHERE entities.space_id = spaces.space_id AND entities.generation = projections.generation
                          ORDER BY entity_type, entity_id) AS lines
             FROM spaces LEFT JOIN projections USING (space_id)",
        );
        let spaces = spaces.fetch_all(&mut connection).await.ok()?;
        let mut rows = BTreeMap::new();
        for space in &spaces {
            if space.get::<Option<bool>, _>("folded") != Some(true) {
                return None;
            }
            let hash: Value = space.get("state_hash");
            let lines: Vec<String> = space.get("lines");
            rows.insert(space.get::<String, _>("space_id"), json!({"stateHash": hash, "lines": lines}));
        }
        Some(json!(rows))
    }
}
