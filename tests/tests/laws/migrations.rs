//! Migrations add, so that the services of the release before go on beside them; those that take away say so in their name.

use super::workspace::{assert_none, files};

/// The last migration of the first release: those before it met no running service.
const FIRST_RELEASE: u32 = 5;

/// What a statement may not do while services of the release before serve, and what it may do instead.
fn faults(sql: &str) -> Vec<&'static str> {
    let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join(" ").to_uppercase();
    let made: Vec<&str> =
        text.split("CREATE TABLE ").skip(1).filter_map(|table| table.split_whitespace().next()).collect();
    let mut faults = Vec::new();
    for statement in text.split(';') {
        let words = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let has = |what: &str| format!(" {words} ").contains(what);
        if [" DROP ", " RENAME ", " TRUNCATE ", " DELETE FROM "].into_iter().any(has) {
            faults.push("takes away: name it contract");
        }
        if has(" ALTER COLUMN ") {
            faults.push("changes a column: add another one");
        }
        let indexed = words.split_once(" ON ").and_then(|(_, table)| table.split([' ', '(']).next());
        let is_new = indexed.is_some_and(|table| made.contains(&table));
        if has(" INDEX ") && has(" CREATE ") && !has(" CONCURRENTLY ") && !is_new {
            faults.push("keeps writers out while an index is made: CONCURRENTLY");
        }
        if has(" ADD COLUMN ") && has(" NOT NULL") && !has(" DEFAULT ") {
            faults.push("needs a value that older services do not write: a default");
        }
        if has(" ADD CONSTRAINT ") && !has(" NOT VALID") {
            faults.push("keeps writers out while rows are checked: NOT VALID");
        }
    }
    faults
}

#[test]
fn migrations_are_numbered_one_by_one() {
    let files = files("shared/store/migrations", ".sql");
    let numbers: Vec<u32> = files.iter().map(|file| number(&file.path)).collect();
    assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
}

#[test]
fn migrations_only_add_unless_their_name_says_contract() {
    let files = files("shared/store/migrations", ".sql");
    let expanding =
        files.iter().filter(|file| number(&file.path) > FIRST_RELEASE && !file.path.contains("_contract_"));
    let findings = expanding.flat_map(|file| {
        faults(&file.text).into_iter().map(|fault| format!("{}: {fault}", file.path)).collect::<Vec<_>>()
    });
    assert_none("what older services would not survive", findings);
}

#[test]
fn what_older_services_would_not_survive_is_found() {
    let cases = [
        ("ALTER TABLE spaces ADD COLUMN a text; -- DROP nothing", 0),
        ("ALTER TABLE spaces ADD COLUMN a bigint NOT NULL DEFAULT 0", 0),
        ("CREATE TABLE a (space_id text); CREATE INDEX a_by ON a (space_id)", 0),
        ("CREATE INDEX CONCURRENTLY by_head ON spaces (head)", 0),
        ("ALTER TABLE spaces\n    DROP COLUMN head", 1),
        ("ALTER TABLE spaces RENAME head TO last", 1),
        ("ALTER TABLE spaces ALTER COLUMN head TYPE text", 1),
        ("CREATE INDEX by_head ON spaces (head)", 1),
        ("ALTER TABLE spaces ADD COLUMN a text NOT NULL", 1),
        ("ALTER TABLE spaces ADD CONSTRAINT a CHECK (head > 0)", 1),
    ];
    for (sql, expected) in cases {
        assert_eq!(faults(sql).len(), expected, "{sql}: {:?}", faults(sql));
    }
}

fn number(path: &str) -> u32 {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.split('_').next().and_then(|number| number.parse().ok()).expect("a number before the name")
}
