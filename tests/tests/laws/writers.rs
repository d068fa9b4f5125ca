//! One writer: a table has one inserting service, a column one writing service, and the gateway writes the audit alone.

use std::collections::{BTreeMap, BTreeSet};

use super::statements::{Writes, functions};
use super::workspace::{assert_none, files, services};

/// Puts rows that ingest has inserted in the place of others of them: the compactor's, and the one way to a second writer.
const MERGES: &str = "segments::merge";

/// What reads archive and log for several services.
pub const HISTORY: &str = "shared/archive";

/// The functions of `shared/store` that a service calls.
pub fn called_by(service: &str) -> BTreeMap<String, Writes> {
    let sources = files(&format!("{service}/src"), ".rs");
    let calls = |name: &str| {
        let call = format!("{name}(");
        sources.iter().any(|file| file.product_lines().any(|(_, line)| calls_in(line, &call)))
    };
    functions().into_iter().filter(|(name, _)| calls(name)).collect()
}

/// Whether the line has that call, and not one of a longer name.
fn calls_in(line: &str, call: &str) -> bool {
    line.match_indices(call)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

#[test]
fn the_gateway_writes_the_audit_and_nothing_else() {
    let (writing, reading): (Vec<_>, Vec<_>) =
        called_by("gateway").into_iter().partition(|(_, writes)| writes.any());
    assert!(!reading.is_empty() && !writing.is_empty(), "it does both");
    let others = writing.into_iter().map(|(name, _)| name).filter(|name| !name.starts_with("admin_audit::"));
    assert_none("the gateway only reads the log", others);
}

#[test]
fn every_table_has_one_inserting_service_and_every_column_one_writing_service() {
    let mut inserting: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut writing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for service in services() {
        let called = called_by(&service).into_iter().filter(|(name, _)| name != MERGES);
        for writes in called.map(|(_, writes)| writes) {
            for table in writes.inserts {
                inserting.entry(table).or_default().insert(service.clone());
            }
            for column in writes.columns {
                writing.entry(column).or_default().insert(service.clone());
            }
        }
    }
    assert!(inserting.len() >= 4 && writing.len() > 20, "{inserting:?} {writing:?}");
    assert!(called_by("compactor").get(MERGES).is_some_and(|writes| writes.inserts.is_empty()));
    let shared = inserting.into_iter().chain(writing).filter(|(_, services)| services.len() > 1);
    assert_none("more than one writer", shared.map(|(what, services)| format!("{what}: {services:?}")));
}

#[test]
fn history_is_read_and_never_written() {
    let called = called_by(HISTORY);
    assert!(
        called.contains_key("archive::behind") && called.contains_key("segments::behind_each"),
        "{called:?}"
    );
    assert_none(
        "writes",
        called.into_iter().filter(|(_, writes)| writes.any()).map(|(function, _)| function),
    );
}

#[test]
fn every_function_of_the_store_has_a_caller() {
    let callers = services().into_iter().chain(["cli".to_owned(), HISTORY.to_owned()]);
    let called: BTreeSet<String> = callers.flat_map(|caller| called_by(&caller).into_keys()).collect();
    let idle = functions().into_keys().filter(|name| !called.contains(name));
    assert_none("functions that nobody calls", idle);
}

#[test]
fn statements_stand_in_the_store_alone() {
    let verbs = [
        "INSERT INTO ",
        "DELETE FROM ",
        "UPDATE ",
        " FROM spaces",
        " FROM segments",
        " FROM devices",
        " FROM projections",
        " FROM entities",
    ];
    let findings =
        services().into_iter().flat_map(|service| files(&format!("{service}/src"), ".rs")).flat_map(|file| {
            let lines = file.product_lines().filter(|(_, line)| verbs.iter().any(|verb| line.contains(verb)));
            lines.map(|(number, _)| format!("{}:{number}", file.path)).collect::<Vec<_>>()
        });
    assert_none("SQL outside of shared/store", findings);
}

#[test]
fn invariant_7_every_statement_keeps_within_its_spaces() {
    let exempt = ["incarnation", "spaces.rs"];
    let migrations = files("shared/store/migrations", ".sql");
    let tables = migrations.iter().flat_map(|file| file.text.split("CREATE TABLE ").skip(1));
    let findings = tables.filter_map(|table| {
        let (name, columns) = table.split_once(" (")?;
        let columns = columns.split(");").next()?.split_whitespace().collect::<Vec<_>>().join(" ");
        let keyed = columns.contains("PRIMARY KEY (space_id")
            || columns.contains("space_id text COLLATE \"C\" PRIMARY KEY");
        (!keyed && !exempt.contains(&name)).then(|| name.to_owned())
    });
    assert_none("tables whose key does not begin with the space", findings);
}
