//! The table of metrics in the operators' guide, which the laws hold against the code: each name, its kind, its labels, and
//! the values that a label may have.

use std::collections::{BTreeMap, BTreeSet};

use super::repository::{at, text};

/// A metric as the guide has it.
#[derive(Debug, Clone)]
pub struct Known {
    /// Whether its series are `_bucket`, `_sum` and `_count`.
    pub histogram: bool,
    /// Its labels, each with its values.
    pub labels: BTreeMap<String, Values>,
}

/// What a label may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// These. A value that ends with `…` stands for all that begin so.
    These(BTreeSet<String>),
    /// Anything.
    Any,
}

impl Values {
    /// Whether the label may say this.
    pub fn have(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(values) => values.iter().any(|known| match known.strip_suffix('…') {
                Some(beginning) => value.starts_with(beginning),
                None => known == value,
            }),
        }
    }
}

/// The metrics of the guide.
pub fn metrics() -> BTreeMap<String, Known> {
    let metrics = parse(&text("docs/operations/metrics.md"));
    assert!(metrics.len() > 50, "{metrics:?}");
    metrics
}

/// The rows of tables whose second cell is a metric: service, name, kind, meaning, labels.
fn parse(guide: &str) -> BTreeMap<String, Known> {
    let rows = guide.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, _, name, kind @ ("counter" | "gauge" | "histogram"), _, labels, _] = cells[..] else {
            return None;
        };
        let known = Known { histogram: kind == "histogram", labels: parse_labels(labels) };
        Some((name.trim_matches('`').to_owned(), known))
    });
    rows.collect()
}

/// "`stream`: push, log; `outcome`: committed, refused, or a code": labels apart by `;`, values by `,`. What stands in
/// parentheses explains. "a code" are all codes; a label without values, or with words among them, may say anything.
fn parse_labels(cell: &str) -> BTreeMap<String, Values> {
    let labels = without_parentheses(cell);
    let labels = labels.split(';').filter_map(|label| {
        let (name, rest) = label.trim().strip_prefix('`')?.split_once('`')?;
        Some((name.to_owned(), parse_values(rest.trim_start_matches(':').trim())))
    });
    labels.collect()
}

fn parse_values(text: &str) -> Values {
    if text.is_empty() {
        return Values::Any;
    }
    let mut values = BTreeSet::new();
    for value in text.split(',').map(|value| value.trim().trim_matches('`')) {
        match value.strip_prefix("or ").unwrap_or(value) {
            "a code" => values.extend(codes()),
            "" => {}
            word if word.contains([' ', '[']) => return Values::Any,
            word => {
                values.insert(word.to_owned());
            }
        }
    }
    Values::These(values)
}

fn without_parentheses(cell: &str) -> String {
    let mut depth = 0_usize;
    let outside = |c: &char| {
        depth = if *c == '(' { depth + 1 } else { depth };
        let keep = depth == 0;
        depth = if *c == ')' { depth.saturating_sub(1) } else { depth };
        keep
    };
    cell.chars().filter(outside).collect()
}

/// Every code that a user can meet: each has a page.
fn codes() -> impl Iterator<Item = String> {
    let pages = std::fs::read_dir(at("docs/errors")).unwrap().map(|page| page.unwrap().file_name());
    pages.filter_map(|name| Some(name.to_str()?.strip_suffix(".md")?.to_owned()))
}

#[test]
fn a_row_says_which_labels_a_metric_has_and_what_they_may_say() {
    let guide = "| gateway | `tidelog_a_total` | counter | A, by b | `b`: x, y (this, or that), z… |\n\
                 | ingest | `tidelog_c_seconds` | histogram | C | `d`: e; `f`: g, or a code; `h`; `i`: j, or its [reason](x) |\n\
                 | gateway | no metric | table | | |";
    let metrics = parse(guide);
    assert_eq!(metrics.keys().collect::<Vec<_>>(), ["tidelog_a_total", "tidelog_c_seconds"]);
    let says = |metric: &str, label: &str, value: &str| metrics[metric].labels[label].have(value);
    assert!(!metrics["tidelog_a_total"].histogram && metrics["tidelog_c_seconds"].histogram);
    assert!(says("tidelog_a_total", "b", "y") && says("tidelog_a_total", "b", "zzz"));
    assert!(!says("tidelog_a_total", "b", "that)") && !says("tidelog_a_total", "b", "q"));
    assert!(says("tidelog_c_seconds", "f", "g") && says("tidelog_c_seconds", "f", "overloaded"));
    assert!(!says("tidelog_c_seconds", "f", "overlaoded") && !says("tidelog_c_seconds", "d", "g"));
    assert!(says("tidelog_c_seconds", "h", "anything") && says("tidelog_c_seconds", "i", "anything"));
}
