//! Every metric stands in a table of the code and in the operators' guide, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};

use tidelog_runtime::metrics::{Metric, MetricKind};

use super::workspace::{File, files};

fn described() -> Vec<Metric> {
    let shared = tidelog_runtime::metrics::METRICS.iter().copied();
    let services = [tidelog_ingest::METRICS, tidelog_projector::METRICS, tidelog_compactor::METRICS].concat();
    shared.chain(tidelog_gateway::metrics()).chain(services).collect()
}

fn word(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    }
}

/// The metrics that the sources feed, each with what they take it for.
fn fed() -> BTreeSet<(String, &'static str)> {
    let mut fed = BTreeSet::new();
    let folders = ["shared", "gateway", "ingest", "projector", "compactor"];
    let sources = folders.iter().flat_map(|folder| files(folder, ".rs"));
    for file in sources {
        for kind in ["counter", "gauge", "histogram"] {
            let begin = format!("{kind}!(");
            let calls = file.text.split(begin.as_str()).skip(1);
            let names = calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next());
            fed.extend(names.map(|name| (name.to_owned(), kind)));
        }
    }
    fed
}

#[test]
fn every_metric_that_is_fed_is_described_and_the_other_way_round() {
    let described: BTreeSet<(String, &str)> =
        described().into_iter().map(|(name, kind, _)| (name.to_owned(), word(kind))).collect();
    assert_eq!(fed(), described);
}

#[test]
fn names_are_unique_and_tell_service_and_unit() {
    let mut meanings: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, kind, meaning) in described() {
        assert!(name.starts_with("tidelog_") && !meaning.is_empty(), "{name}");
        assert_eq!(name.ends_with("_total"), kind == MetricKind::Counter, "{name}");
        assert_eq!(meanings.insert(name, meaning), None, "{name} stands in one table");
    }
}

#[test]
fn the_operators_guide_lists_every_metric_with_its_kind_and_meaning() {
    let guide = File::at("docs/operations/metrics.md").text;
    let rows: Vec<&str> = guide.lines().filter(|line| line.contains("| `tidelog_")).collect();
    for (name, kind, meaning) in described() {
        let row = format!("| `{name}` | {} | {meaning} |", word(kind));
        assert!(rows.iter().any(|line| line.contains(&row)), "docs/operations/metrics.md: {row}");
    }
    assert_eq!(rows.len(), described().len(), "and nothing else");
}
