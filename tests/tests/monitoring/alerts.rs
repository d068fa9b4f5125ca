//! Every alert says how bad it is, what has happened, and where its page is; and is tested in both ways.

use std::collections::BTreeSet;

use serde_json::Value;

use super::repository::{MONITORING, assert_none, yaml};

const PREFIX: &str = "Tidelog";
const RUNBOOKS: &str = "https://tidelog.dev/runbooks/";
/// Where the unit tests of the alerts are.
pub const TESTS: [&str; 2] = ["alerts.test.yaml", "alerts-days.test.yaml"];

/// A rule of the file.
pub struct Rule(Value);

impl Rule {
    /// The alert's name, or the recorded metric's.
    pub fn name(&self) -> String {
        self.0["alert"].as_str().or(self.0["record"].as_str()).unwrap().to_owned()
    }

    /// Its expression.
    pub fn expression(&self) -> &str {
        self.0["expr"].as_str().unwrap()
    }

    fn is_alert(&self) -> bool {
        self.0["alert"].is_string()
    }

    /// Its page's name: `TidelogPushErrors` has `push-errors`.
    pub fn page(&self) -> String {
        let mut page = String::new();
        for letter in self.name().strip_prefix(PREFIX).unwrap_or_default().chars() {
            if letter.is_ascii_uppercase() && !page.is_empty() {
                page.push('-');
            }
            page.push(letter.to_ascii_lowercase());
        }
        page
    }

    /// How bad it is.
    pub fn severity(&self) -> &str {
        self.0["labels"]["severity"].as_str().unwrap_or_default()
    }
}

/// All rules.
pub fn rules() -> Vec<Rule> {
    let file = yaml(&format!("{MONITORING}/alerts.yaml"));
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().map(Rule).collect()
}

/// All alerts.
pub fn alerts() -> Vec<Rule> {
    rules().into_iter().filter(Rule::is_alert).collect()
}

/// The metrics that rules record.
pub fn recorded() -> BTreeSet<String> {
    rules().into_iter().filter(|rule| !rule.is_alert()).map(|rule| rule.name()).collect()
}

#[test]
fn every_alert_says_how_bad_it_is_what_happened_and_where_its_page_is() {
    let alerts = alerts();
    assert!(alerts.len() > 20, "{}", alerts.len());
    let faults = alerts.iter().filter_map(|alert| {
        let annotation = |name: &str| alert.0["annotations"][name].as_str().unwrap_or_default();
        let complete = alert.name().starts_with(PREFIX)
            && ["critical", "warning"].contains(&alert.severity())
            && !annotation("summary").is_empty()
            // A value, or what it is about.
            && annotation("description").contains("{{")
            && annotation("runbook_url") == format!("{RUNBOOKS}{}", alert.page());
        (!complete).then(|| format!("{}: {}", alert.name(), alert.0))
    });
    assert_none("alerts that do not say enough", faults);
}

#[test]
fn names_are_unique() {
    let names: Vec<String> = rules().iter().map(Rule::name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

#[test]
fn each_alert_is_tested_by_a_series_that_fires_it_and_by_one_that_does_not() {
    let mut fired = BTreeSet::new();
    let mut quiet = BTreeSet::new();
    for file in TESTS {
        let file = yaml(&format!("{MONITORING}/{file}"));
        let tests = file["tests"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|test| test["alert_rule_test"].as_array().unwrap());
        for test in tests {
            let name = test["alertname"].as_str().unwrap().to_owned();
            let expected = test["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
            if expected {
                fired.insert(name)
            } else {
                quiet.insert(name)
            };
        }
    }
    let alerts: BTreeSet<String> = alerts().iter().map(Rule::name).collect();
    assert_eq!(fired, alerts);
    assert_eq!(quiet, alerts);
}
