//! Every metric stands in a table of the code and in the operators' guide, with its labels and all their values, and nothing
//! else does.

use std::collections::{BTreeMap, BTreeSet};

use tidelog_runtime::broker::{METRICS as BROKER_METRICS, STREAM_METRICS};
use tidelog_runtime::metrics::{METRICS, Metric, MetricKind, PROCESS_METRICS, describe, install};

use super::workspace::{File, files};

/// The tables, each with the services that have it.
fn tables() -> Vec<(&'static str, Vec<Metric>)> {
    vec![
        ("every service", [METRICS, PROCESS_METRICS].concat()),
        ("gateway, ingest, projector", BROKER_METRICS.to_vec()),
        ("ingest, projector", STREAM_METRICS.to_vec()),
        ("gateway", tidelog_gateway::metrics().collect()),
        ("ingest", tidelog_ingest::METRICS.to_vec()),
        ("projector", tidelog_projector::METRICS.to_vec()),
        ("compactor", tidelog_compactor::METRICS.to_vec()),
    ]
}

fn described() -> impl Iterator<Item = Metric> {
    tables().into_iter().flat_map(|(_, table)| table)
}

fn word(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    }
}

/// A place where the sources feed a metric: its name, what they take it for, and its labels with the values that stand there.
struct Fed {
    name: String,
    kind: &'static str,
    labels: Vec<(String, Option<String>)>,
}

fn fed() -> Vec<Fed> {
    let mut fed = Vec::new();
    let folders = ["shared", "gateway", "ingest", "projector", "compactor"];
    for file in folders.iter().flat_map(|folder| files(folder, ".rs")) {
        for kind in ["counter", "gauge", "histogram"] {
            let begin = format!("{kind}!(");
            let calls = file.text.split(begin.as_str()).skip(1).map(arguments);
            fed.extend(calls.filter_map(|call| {
                let name = text(call)?.to_owned();
                let labels = labels(call);
                Some(Fed { name, kind, labels })
            }));
        }
    }
    fed
}

/// What stands before the parenthesis that closes the call.
fn arguments(call: &str) -> &str {
    let mut depth = 1;
    let closes = call.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    &call[..closes.unwrap_or(call.len())]
}

/// The text that stands there between quotes, if one does.
fn text(code: &str) -> Option<&str> {
    code.trim_start().strip_prefix('"')?.split('"').next()
}

fn labels(call: &str) -> Vec<(String, Option<String>)> {
    let parts: Vec<&str> = call.split("=>").collect();
    let label = |pair: &[&str]| {
        let name = pair[0].trim_end().trim_end_matches('"').rsplit('"').next().unwrap_or_default();
        (name.to_owned(), text(pair[1]).map(str::to_owned))
    };
    parts.windows(2).map(label).collect()
}

#[test]
fn every_metric_that_is_fed_is_described_and_the_other_way_round() {
    let ours = |metric: &Metric| metric.name.starts_with("tidelog_");
    let names =
        |labels: &[(&str, &[&str])]| labels.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
    let described: BTreeSet<(String, &str, Vec<String>)> = described()
        .filter(ours)
        .map(|metric| (metric.name.to_owned(), word(metric.kind), names(metric.labels)))
        .collect();
    let fed: BTreeSet<(String, &str, Vec<String>)> = fed()
        .into_iter()
        .map(|fed| (fed.name, fed.kind, fed.labels.into_iter().map(|(name, _)| name).collect()))
        .collect();
    assert_eq!(fed, described);
}

#[test]
fn every_value_that_a_label_is_given_is_described() {
    let known: BTreeMap<&str, Metric> = described().map(|metric| (metric.name, metric)).collect();
    let mut values = 0;
    for Fed { name, labels, .. } in fed() {
        for (label, value) in labels {
            let Some(value) = value.filter(|value| value != "test") else { continue };
            let label = known[name.as_str()].labels.iter().find(|(known, _)| *known == label);
            assert!(label.is_some_and(|(_, values)| values.contains(&value.as_str())), "{name}: {value}");
            values += 1;
        }
    }
    assert!(values > 15, "{values}");
}

#[test]
fn names_are_unique_and_tell_service_and_unit() {
    let mut meanings: BTreeMap<&str, &str> = BTreeMap::new();
    for Metric { name, kind, help, labels, .. } in described() {
        let prefix =
            if PROCESS_METRICS.iter().any(|metric| metric.name == name) { "process_" } else { "tidelog_" };
        assert!(name.starts_with(prefix) && !help.is_empty() && !help.contains(['|', '\n']), "{name}");
        assert_eq!(name.ends_with("_total"), kind == MetricKind::Counter, "{name}");
        assert_eq!(meanings.insert(name, help), None, "{name} stands in one table");
        for (label, values) in labels {
            let each: BTreeSet<_> = values.iter().collect();
            assert_eq!(each.len(), values.len(), "{name}: the values of {label} differ");
        }
    }
}

#[test]
fn every_counter_is_there_with_0_before_anything_is_counted() {
    let handle = install().unwrap();
    described().for_each(|metric| describe(&[metric]));
    let text = handle.render();
    for metric in described().filter(|metric| metric.kind == MetricKind::Counter) {
        let series: BTreeSet<&str> = text
            .lines()
            .filter(|line| line.strip_prefix(metric.name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .collect();
        assert_eq!(series.len(), metric.series().len(), "{}: {series:?}", metric.name);
        assert!(!series.is_empty(), "{}", metric.name);
    }
}

#[test]
fn the_operators_guide_lists_every_metric_with_its_services_kind_meaning_and_labels() {
    let row = |services: &str, metric: &Metric| {
        let label = |(name, values): &(&str, &[&str])| match values {
            [] => format!("`{name}`"),
            values => format!("`{name}`: {}", values.join(", ")),
        };
        let labels = metric.labels.iter().map(label).collect::<Vec<_>>().join("; ");
        let Metric { name, kind, help, .. } = metric;
        format!("| {services} | `{name}` | {} | {help} | {labels} |", word(*kind))
    };
    let rows = |(services, table): (&str, Vec<Metric>)| {
        table.iter().map(|metric| row(services, metric)).collect::<Vec<_>>()
    };
    let expected: Vec<String> = tables().into_iter().flat_map(rows).collect();
    let guide = File::at("docs/operations/metrics.md").text;
    let is_row = |line: &&str| line.contains("| `tidelog_") || line.contains("| `process_");
    let found: Vec<&str> = guide.lines().filter(is_row).collect();
    assert_eq!(found, expected, "docs/operations/metrics.md has these rows:\n{}", expected.join("\n"));
}
