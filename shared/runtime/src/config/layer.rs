//! One source of configuration as flat `section.key` values, held against the defaults: known keys only, and
//! each of its default's type.

use std::collections::BTreeMap;

use config::{FileFormat, Value, ValueKind};

use super::ConfigError;

/// Keys less alike than this are not suggested (0 to 1).
const NEAR: f64 = 0.6;

/// The values of one source by key, `section.key`. An empty section stands under its own name.
pub(super) struct Layer {
    origin: String,
    text: String,
    pub(super) values: BTreeMap<String, Value>,
}

impl Layer {
    pub(super) fn parse(origin: &str, text: &str) -> Result<Self, ConfigError> {
        let parsed = config::Config::builder()
            .add_source(config::File::from_str(text, FileFormat::Toml))
            .build()
            .map_err(|error| unparsable(origin, &error))?;
        let mut values = BTreeMap::new();
        flatten(String::new(), parsed.cache, &mut values);
        Ok(Self { origin: origin.to_owned(), text: text.to_owned(), values })
    }

    /// Where a key of this source stands: the source, and its line if that is found.
    pub(super) fn place(&self, key: &str) -> String {
        match line_of(&self.text, key) {
            Some(line) => format!("{}:{line}", self.origin),
            None => self.origin.clone(),
        }
    }

    /// These values, if each has a default of its type.
    pub(super) fn accepted_by(&self, defaults: &Layer) -> Result<BTreeMap<String, Value>, ConfigError> {
        let mut accepted = BTreeMap::new();
        for (key, value) in &self.values {
            if defaults.is_section(key) && matches!(&value.kind, ValueKind::Table(_)) {
                continue;
            }
            let expected = type_name(&defaults.default_of(&self.place(key), key)?.kind);
            let found = type_name(&value.kind);
            let whole_for_number = expected == NUMBER && found == INTEGER;
            if found != expected && !whole_for_number {
                return Err(wrong_type(&self.place(key), key, expected, found.to_owned()));
            }
            accepted.insert(key.clone(), value.clone());
        }
        Ok(accepted)
    }

    /// The text of an environment variable as a value of the type that `key` has by default.
    pub(super) fn value_from_text(&self, origin: &str, key: &str, text: &str) -> Result<Value, ConfigError> {
        let expected = type_name(&self.default_of(origin, key)?.kind);
        let trimmed = text.trim();
        let digits = trimmed.replace('_', "");
        let kind = match expected {
            BOOLEAN => trimmed.parse().ok().map(ValueKind::Boolean),
            INTEGER => digits.parse().ok().map(ValueKind::I64),
            NUMBER => digits.parse().ok().map(ValueKind::Float),
            TEXT => Some(ValueKind::String(text.to_owned())),
            _ => None,
        };
        kind.map(|kind| Value::new(Some(&origin.to_owned()), kind))
            .ok_or_else(|| wrong_type(origin, key, expected, format!("`{text}`")))
    }

    fn default_of(&self, place: &str, key: &str) -> Result<&Value, ConfigError> {
        self.values.get(key).ok_or_else(|| ConfigError::UnknownKey {
            place: place.to_owned(),
            key: key.to_owned(),
            suggestion: self.nearest(key),
        })
    }

    fn is_section(&self, name: &str) -> bool {
        self.values.keys().any(|key| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    }

    fn nearest(&self, key: &str) -> Option<String> {
        self.values
            .keys()
            .map(|known| (strsim::normalized_damerau_levenshtein(known, key), known))
            .filter(|(likeness, _)| *likeness >= NEAR)
            .max_by(|(left, _), (right, _)| left.total_cmp(right))
            .map(|(_, known)| known.clone())
    }
}

fn flatten(prefix: String, value: Value, into: &mut BTreeMap<String, Value>) {
    match value.kind {
        ValueKind::Table(table) if prefix.is_empty() || !table.is_empty() => {
            for (name, inner) in table {
                let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                flatten(key, inner, into);
            }
        }
        _ => {
            into.insert(prefix, value);
        }
    }
}

const BOOLEAN: &str = "true or false";
const INTEGER: &str = "a whole number";
const NUMBER: &str = "a number";
const TEXT: &str = "a text";

fn type_name(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Boolean(_) => BOOLEAN,
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => INTEGER,
        ValueKind::Float(_) => NUMBER,
        ValueKind::String(_) => TEXT,
        ValueKind::Array(_) => "a list",
        ValueKind::Table(_) => "a section",
        ValueKind::Nil => "nothing",
    }
}

fn wrong_type(place: &str, key: &str, expected: &'static str, found: String) -> ConfigError {
    ConfigError::WrongType { place: place.to_owned(), key: key.to_owned(), expected, found }
}

/// The parser's error in one line: where, and what it expected. Its picture of the line is left out, which may hold a secret.
fn unparsable(origin: &str, error: &config::ConfigError) -> ConfigError {
    let told = error.to_string();
    let number = |before: &str| -> Option<u64> {
        let rest = told.split_once(before)?.1;
        rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    };
    let place = match (number("at line "), number("column ")) {
        (Some(line), Some(column)) => format!("{origin}:{line}:{column}"),
        _ => origin.to_owned(),
    };
    let is_picture = |line: &&str| line.contains('|') || line.contains("at line ") || line.trim().is_empty();
    let reasons = told.lines().filter(|line| !is_picture(line)).map(|line| match line.rsplit_once(" in ") {
        // The parser's caller names a source that it does not know.
        Some((reason, _)) if line.ends_with("<unknown>") => reason.trim(),
        _ => line.trim(),
    });
    ConfigError::Unparsable { place, reason: reasons.collect::<Vec<_>>().join(", ") }
}

/// The line, counted from 1, in which a TOML text sets `section.key`, or opens a section of that name.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut section = "";
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            section = name.split(']').next().unwrap_or_default().trim();
            if section == key {
                return Some(number + 1);
            }
        } else if let Some((name, _)) = line.split_once('=') {
            let name = name.trim();
            let is_it = match section {
                "" => name == key,
                section => key.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')) == Some(name),
            };
            if is_it {
                return Some(number + 1);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_key_is_found_where_it_is_written_the_usual_ways() {
        let text = "top = 1\n[a]\n# x = 1\nx = 2\n\n [b] # x\nx=3\nb.y = 4\n[c]\n";
        for (key, line) in [
            ("top", Some(1)),
            ("a.x", Some(4)),
            ("b.x", Some(7)),
            ("b.b.y", Some(8)),
            ("c", Some(9)),
            ("a", Some(2)),
            ("x", None),
            ("a.z", None),
        ] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
    }
}
