//! The dashboard is what its source makes, and every panel explains itself.

use std::collections::BTreeSet;

use serde_json::Value;

use super::promql::named;
use super::repository::{MONITORING, assert_none, run, text};

/// Units of Grafana that are in use.
const UNITS: [&str; 9] = ["none", "short", "percentunit", "s", "bytes", "binBps", "reqps", "ops", "eps"];
const WIDTH: u64 = 24;

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&text(&format!("{MONITORING}/dashboard.json"))).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// The panels that show something.
fn graphs() -> Vec<Value> {
    panels().into_iter().filter(|panel| panel["type"] != "row").collect()
}

/// Every query, with the title of its panel.
pub fn queries() -> Vec<(String, String)> {
    let targets = graphs().into_iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    });
    targets.collect()
}

#[test]
fn the_dashboard_is_what_its_source_makes() {
    let output = run("python3", &["dashboard.py", "--check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_panel_says_what_it_shows_what_is_normal_and_in_which_unit() {
    let graphs = graphs();
    assert!(graphs.len() > 40, "{}", graphs.len());
    let faults = graphs.iter().filter_map(|panel| {
        let title = panel["title"].as_str()?;
        let description = panel["description"].as_str().unwrap_or_default();
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
        let explained = description.len() > 40 && description.contains("Normal: ");
        (!explained || !UNITS.contains(&unit)).then(|| format!("{title}: {unit:?}, {description:?}"))
    });
    assert_none("panels that do not explain themselves", faults);
}

#[test]
fn ids_and_titles_are_unique_and_no_panel_lies_on_another() {
    let panels = panels();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut fields = BTreeSet::new();
    let mut row = "";
    let mut titles = BTreeSet::new();
    for panel in &panels {
        let title = panel["title"].as_str().unwrap();
        row = if panel["type"] == "row" { title } else { row };
        assert!(titles.insert((row, title)), "{row}: {title} is there twice");
        let [x, y, width, height] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + width <= WIDTH, "{title}");
        let free = (x..x + width)
            .flat_map(|x| (y..y + height).map(move |y| (x, y)))
            .all(|field| fields.insert(field));
        assert!(free, "{title} lies on another panel");
        let references: Vec<&Value> =
            panel["targets"].as_array().into_iter().flatten().map(|one| &one["refId"]).collect();
        let distinct: BTreeSet<String> = references.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), references.len(), "{title}");
    }
}

/// The labels that a legend names: `{{job}}`.
fn labels(legend: &str) -> impl Iterator<Item = &str> {
    legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next())
}

#[test]
fn a_legend_names_only_labels_that_its_query_keeps() {
    let mut checked = 0;
    for panel in graphs() {
        for target in panel["targets"].as_array().unwrap() {
            let (query, legend) =
                (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
            let named = named(query);
            let aggregates = !named.grouping.is_empty() && !query.contains("ignoring");
            for label in labels(legend) {
                checked += 1;
                let own = !aggregates && ["job", "instance"].contains(&label);
                let kept = own || named.grouping.iter().chain(&named.texts).any(|kept| kept == label);
                assert!(kept, "{}: {label} is not in the answer of {query}", panel["title"]);
            }
            assert!(!legend.is_empty(), "{query}");
        }
    }
    assert!(checked > 40, "{checked} labels");
}

#[test]
fn everything_comes_from_the_chosen_source_services_and_instances() {
    let dashboard = text(&format!("{MONITORING}/dashboard.json"));
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let variables: Vec<&str> = dashboard["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(variables, ["datasource", "service", "instance"]);
    for panel in graphs() {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
    }
    let faults = queries().into_iter().filter(|(_, query)| {
        let chosen = named(query).selectors.into_iter().filter(|selector| selector.metric != "ALERTS").all(
            |selector| {
                let has = |label, value| {
                    selector.matchers.iter().any(|one| one.label == label && one.value == value)
                };
                has("job", "$service") && has("instance", "$instance")
            },
        );
        !chosen
    });
    assert_none("queries that ask others, too", faults.map(|(title, query)| format!("{title}: {query}")));
}
