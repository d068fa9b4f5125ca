//! The schema in force follows its file, and only where that breaks nothing.

use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn schema(version: u32, events: &str) -> String {
    format!(
        "name: fitness\nversion: {version}\nentities:\n  workout:\n    fields:\n      name: {{ type: string }}\n      \
         laps: {{ type: integer, merge: sum }}\nevents:\n  WORKOUT_CREATED: {{ entity: workout, creates: true, \
         payload: {{ name: required }} }}\n{events}"
    )
}

const LAPS: &str = "  LAP_RECORDED: { entity: workout, payload: { laps: required } }\n";

fn write(path: &Path, text: &str) {
    // Swapped whole, as Kubernetes does: a half-written file is never seen.
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, path).unwrap();
}

fn config(path: &Path) -> SchemaConfig {
    SchemaConfig { file: path.to_owned(), watch_interval_ms: 5 }
}

#[tokio::test]
async fn a_new_version_is_taken_and_one_that_breaks_the_log_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.yaml");
    write(&path, &schema(1, ""));
    let shutdown = CancellationToken::new();
    let (mut current, task) = SchemaWatch::start(&config(&path), shutdown.clone()).unwrap();
    assert_eq!(current.borrow_and_update().version(), 1);

    // Refused in between: broken text, a frozen thing changed, the file gone.
    for refused in ["nonsense: [", &schema(2, "").replace("creates: true", "deletes: true")] {
        write(&path, refused);
        tokio::time::timeout(SECOND / 10, current.changed()).await.unwrap_err();
    }
    std::fs::remove_file(&path).unwrap();
    tokio::time::timeout(SECOND / 10, current.changed()).await.unwrap_err();

    write(&path, &schema(3, LAPS));
    tokio::time::timeout(10 * SECOND, current.changed()).await.unwrap().unwrap();
    assert_eq!(current.borrow_and_update().version(), 3);

    shutdown.cancel();
    tokio::time::timeout(10 * SECOND, task).await.unwrap().unwrap();
}

#[test]
fn a_content_that_means_the_same_changes_nothing_and_a_lower_or_equal_version_is_refused() {
    let current = Schema::parse(&schema(3, LAPS)).unwrap();
    assert!(judge(&current, &format!("# a comment\n{}", schema(3, LAPS))).unwrap().is_none());
    assert!(matches!(judge(&current, &schema(2, LAPS)), Err(Refusal::Breaks(_))));
    let richer =
        format!("{}  LAP_UNDONE: {{ entity: workout, payload: {{ laps: required }} }}\n", schema(3, LAPS));
    assert!(matches!(judge(&current, &richer), Err(Refusal::Breaks(_))));
    assert!(matches!(judge(&current, &schema(4, "")), Err(Refusal::Breaks(_))), "an event type is gone");
    assert_eq!(judge(&current, &richer.replace("version: 3", "version: 4")).unwrap().unwrap().version(), 4);
}

#[tokio::test]
async fn without_a_valid_schema_a_service_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.yaml");
    let start = || SchemaWatch::start(&config(&path), CancellationToken::new());
    assert!(matches!(start(), Err(SchemaWatchError::Unreadable { .. })));
    write(&path, "version: 1");
    assert!(matches!(start(), Err(SchemaWatchError::Invalid { .. })));
}
