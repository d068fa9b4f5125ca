//! The SQL of the log: which function of `shared/store` writes which columns, read from its statements.

use std::collections::BTreeMap;

use super::workspace::files;

/// What a function of `shared/store` does to the tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writes {
    /// Tables that it inserts into.
    pub inserts: Vec<String>,
    /// Tables that it deletes from.
    pub deletes: Vec<String>,
    /// Columns that it writes, as `table.column`.
    pub columns: Vec<String>,
    /// Those of them that it writes in rows that are there.
    pub updates: Vec<String>,
}

impl Writes {
    /// Whether it does anything.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// The public functions of `shared/store`, as `module::function`, each with what it writes.
pub fn functions() -> BTreeMap<String, Writes> {
    literals_of().into_iter().map(|(name, texts)| (name, writes(&texts))).collect()
}

/// The same, each with its texts: statements among them, those of the module's own functions that it calls with them.
pub fn literals_of() -> BTreeMap<String, Vec<String>> {
    let mut functions = BTreeMap::new();
    for file in files("shared/store/src", ".rs") {
        let module = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        let name_of = |text: &str| text.split(['(', '<']).next().unwrap_or_default().to_owned();
        let parts: Vec<&str> = file.text.split("\npub async fn ").skip(1).collect();
        let inner = file.text.split("\nasync fn ").skip(1);
        let inner: BTreeMap<String, &str> = inner
            .map(|text| (name_of(text), text.split("\npub async fn ").next().unwrap_or_default()))
            .collect();
        for function in parts {
            let own = function.split("\nasync fn ").next().unwrap_or_default();
            let called = inner.iter().filter(|(name, _)| own.contains(&format!("{name}(")));
            let texts = literals(own).into_iter().chain(called.flat_map(|(_, text)| literals(text)));
            functions.insert(format!("{module}::{}", name_of(function)), texts.collect());
        }
    }
    functions
}

/// The texts between quotes, up to the next function.
fn literals(source: &str) -> Vec<String> {
    source
        .split('"')
        .skip(1)
        .step_by(2)
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn writes(statements: &[String]) -> Writes {
    let mut writes = Writes::default();
    for statement in statements {
        let table_behind = |verb: &str| {
            let (_, rest) = statement.split_once(verb)?;
            Some((rest.split([' ', '(']).next()?.to_owned(), rest))
        };
        if let Some((table, rest)) = table_behind("INSERT INTO ") {
            let names = rest
                .split_once('(')
                .and_then(|(_, rest)| rest.split_once(')'))
                .map_or("", |(names, _)| names);
            writes.columns.extend(names.split(',').map(|name| format!("{table}.{}", name.trim())));
            if let Some((_, update)) = rest.split_once("DO UPDATE SET ") {
                writes.updates.extend(assigned(&table, update));
            }
            writes.inserts.push(table);
        } else if let Some((table, update)) = updated(statement) {
            writes.updates.extend(assigned(&table, update));
        } else if let Some((table, _)) = table_behind("DELETE FROM ") {
            writes.deletes.push(table);
        }
    }
    writes.columns.extend(writes.updates.clone());
    writes
}

/// The table that an `UPDATE` changes, and what stands behind its `SET`; a lock (`FOR UPDATE OF`) may stand before it.
fn updated(statement: &str) -> Option<(String, &str)> {
    let mut candidates = statement.split("UPDATE ").skip(1).filter_map(|rest| rest.split_once(" SET "));
    let (table, _) = candidates.find(|(named, _)| named.split(' ').count() <= 3)?;
    let (_, update) = statement.split_once(&format!("UPDATE {table} SET "))?;
    Some((table.split(' ').next()?.to_owned(), update))
}

/// The columns that a `SET` list assigns.
fn assigned(table: &str, update: &str) -> Vec<String> {
    let list = update.split(" FROM ").next().unwrap_or_default().split(" WHERE ").next().unwrap_or_default();
    let names = list.split(',').filter_map(|part| part.split_once('=')).map(|(name, _)| name.trim());
    names.map(|name| format!("{table}.{name}")).collect()
}

#[test]
fn statements_are_understood() {
    let check = |statement: &str, inserts: &[&str], deletes: &[&str], columns: &[&str]| {
        let found = writes(&literals(&format!("query(\"{statement}\")")));
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let expect = (owned(inserts), owned(deletes), owned(columns));
        assert_eq!((found.inserts, found.deletes, found.columns), expect);
    };
    check("SELECT head FROM spaces WHERE space_id = $1 FOR UPDATE SKIP LOCKED", &[], &[], &[]);
    check("INSERT INTO a (x, y)\n SELECT * FROM b", &["a"], &[], &["a.x", "a.y"]);
    check(
        "INSERT INTO a (x) VALUES ($1) ON CONFLICT (x) DO UPDATE SET y = EXCLUDED.y, z = now()",
        &["a"],
        &[],
        &["a.x", "a.y", "a.z"],
    );
    check("UPDATE a SET x = 1, y = moved.y FROM moved WHERE a.id = moved.id", &[], &[], &["a.x", "a.y"]);
    check(
        "WITH locked AS (SELECT x FROM a FOR UPDATE OF a) UPDATE a AS b SET y = 1 FROM locked",
        &[],
        &[],
        &["a.y"],
    );
    check("DELETE FROM a USING b WHERE a.x = b.x", &[], &["a"], &[]);
}
