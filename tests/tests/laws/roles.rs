//! Least rights: PostgreSQL's roles may do what the statements of their services do, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::statements::{Writes, functions, literals_of};
use super::workspace::{File, assert_none, files, services};
use super::writers::{HISTORY, called_by};

const GRANTS: &str = "deploy/postgres/grants.sql";

/// `SELECT spaces`, `UPDATE spaces.head`: what is done to which table.
type Rights = BTreeSet<String>;

/// What the file grants to a service's role.
fn granted(service: &str) -> Rights {
    let text: String =
        File::at(GRANTS).text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ");
    let role = format!("tidelog_{service}");
    let mut rights = Rights::new();
    for statement in text.split(';') {
        let words = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let Some((actions, rest)) = words.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON "))
        else {
            continue;
        };
        let (tables, roles) = rest.split_once(" TO ").expect("a role");
        if roles.split(", ").any(|name| name == role) {
            rights.extend(tables.split(", ").flat_map(|table| actions_on(table, actions)));
        }
    }
    rights.remove("SELECT _sqlx_migrations");
    rights
}

/// Those of `SELECT, INSERT, UPDATE (head, epoch)`.
fn actions_on(table: &str, actions: &str) -> Vec<String> {
    let (whole, columns) = actions.split_once("UPDATE (").unwrap_or((actions, ""));
    let whole =
        whole.split(", ").filter(|action| !action.is_empty()).map(|action| format!("{action} {table}"));
    let columns = columns.trim_end_matches(')').split(", ").filter(|column| !column.is_empty());
    whole.chain(columns.map(|column| format!("UPDATE {table}.{column}"))).collect()
}

/// The functions of `shared/store` that a service calls, those of the archive's reader with them if it has one.
fn called(service: &str) -> BTreeSet<String> {
    let manifest = File::at(&format!("{service}/Cargo.toml")).text;
    let history = manifest.contains("tidelog-archive").then(|| called_by(HISTORY));
    called_by(service).into_keys().chain(history.into_iter().flat_map(BTreeMap::into_keys)).collect()
}

/// What a service's statements do.
fn needed(service: &str) -> Rights {
    let tables = tables();
    let (functions, literals) = (functions(), literals_of());
    let mut rights = Rights::new();
    for name in called(service) {
        let Writes { inserts, deletes, updates, .. } = &functions[&name];
        rights.extend(inserts.iter().map(|table| format!("INSERT {table}")));
        rights.extend(deletes.iter().map(|table| format!("DELETE {table}")));
        rights.extend(updates.iter().map(|column| format!("UPDATE {column}")));
        rights.extend(
            literals[&name]
                .iter()
                .flat_map(|text| named_in(text, &tables))
                .map(|table| format!("SELECT {table}")),
        );
    }
    rights
}

/// The tables that a statement names.
fn named_in(statement: &str, tables: &BTreeSet<String>) -> Vec<String> {
    let words: Vec<&str> = statement.split([' ', '(', ')', ',']).filter(|word| !word.is_empty()).collect();
    let behind =
        words.windows(2).filter(|pair| ["FROM", "JOIN", "INTO", "UPDATE", "USING"].contains(&pair[0]));
    behind.map(|pair| pair[1].to_owned()).filter(|table| tables.contains(table)).collect()
}

fn tables() -> BTreeSet<String> {
    let migrations = files("shared/store/migrations", ".sql");
    let made = migrations.iter().flat_map(|file| file.text.split("CREATE TABLE ").skip(1));
    made.filter_map(|text| text.split([' ', '(']).next()).map(str::to_owned).collect()
}

#[test]
fn each_role_may_do_what_its_service_does_and_nothing_else() {
    for service in services() {
        let (granted, needed) = (granted(&service), needed(&service));
        assert!(needed.len() > 10, "{service}: {needed:?}");
        let lacking = needed.difference(&granted).map(|right| format!("{service} lacks {right}"));
        let idle = granted.difference(&needed).map(|right| format!("{service} has {right} for nothing"));
        assert_none(
            &format!("rights in {GRANTS} that differ from what shared/store does"),
            lacking.chain(idle),
        );
    }
}

#[test]
fn no_role_but_ingests_appends_to_the_log_and_none_changes_its_bytes_but_to_merge() {
    for service in services() {
        let granted = granted(&service);
        assert_eq!(granted.contains("INSERT segments"), service == "ingest", "{service}");
        assert_eq!(granted.contains("UPDATE segments.frame"), service == "compactor", "{service}");
    }
}
