//! What the archive holds, by its documented format alone: the table's rows and the folder's files, read without the
//! code that wrote them.

use std::path::PathBuf;

use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use tidelog_archive::ArchiveConfig;
use tidelog_tests::World;

/// An event, by position: the device that recorded it, and its line.
pub type Event = (u64, String, String);

/// The folder of the world's archive.
pub fn archive_folder(world: &World) -> PathBuf {
    world.config.section::<ArchiveConfig>("archive").unwrap().url.into()
}

/// Names of all files below the archive's folder, in order.
pub fn files(world: &World) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![archive_folder(world)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// The archived events of a space, in order; and of how many objects they are.
pub async fn archived(world: &World, space: &str) -> (Vec<Event>, usize) {
    let rows = "SELECT first, last, epoch::text AS epoch, object, sha256, bytes FROM archive
                WHERE space_id = $1 ORDER BY last";
    let rows = sqlx::query(rows).bind(space).fetch_all(&world.pool).await.unwrap();
    let mut events = Vec::new();
    for row in &rows {
        assert_eq!(row.get::<i64, _>("first"), events.len() as i64 + 1, "rows follow each other");
        events.extend(object(world, space, row).await);
        assert_eq!(row.get::<i64, _>("last"), events.len() as i64);
    }
    (events, rows.len())
}

/// The events of the object that a row lists.
async fn object(world: &World, space: &str, row: &PgRow) -> Vec<Event> {
    let bytes = std::fs::read(archive_folder(world).join(row.get::<&str, _>("object"))).unwrap();
    let sha256: Vec<u8> =
        sqlx::query_scalar("SELECT sha256($1)").bind(&bytes).fetch_one(&world.pool).await.unwrap();
    assert_eq!(sha256, row.get::<Vec<u8>, _>("sha256"));
    assert_eq!(bytes.len() as i64, row.get::<i64, _>("bytes"));
    let (header, events) = read(&bytes);
    let expected = serde_json::json!({
        "space": space, "epoch": row.get::<&str, _>("epoch"), "segments": header["segments"],
        "first": row.get::<i64, _>("first"), "last": row.get::<i64, _>("last"),
    });
    assert_eq!(header, expected);
    events
}

/// The header and the events of an object's bytes.
pub fn read(bytes: &[u8]) -> (Value, Vec<Event>) {
    let text = String::from_utf8(zstd::decode_all(bytes).unwrap()).unwrap();
    let mut lines = text.lines();
    let header = parse(lines.next().unwrap())["archive"].clone();
    let mut events = Vec::new();
    let mut segments = 0;
    while let Some(line) = lines.next() {
        let segment = parse(line)["segment"].clone();
        let number = |key: &str| segment[key].as_u64().unwrap();
        let (first, last) = (number("first"), number("last"));
        let count = last - first + 1;
        // One line more than there are events is the batch line.
        let mut of_segment = lines.by_ref().take(number("lines") as usize);
        of_segment.by_ref().take((number("lines") - count) as usize).for_each(drop);
        for (position, line) in (first..).zip(of_segment) {
            let batches = segment["batches"].as_array().unwrap();
            let batch =
                batches.iter().rev().find(|batch| batch["first"].as_u64().unwrap() <= position).unwrap();
            events.push((position, batch["deviceId"].as_str().unwrap().to_owned(), line.to_owned()));
        }
        assert_eq!(events.last().unwrap().0, last, "all lines of a segment are there");
        segments += 1;
    }
    assert_eq!(header["segments"], segments);
    (header, events)
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}
