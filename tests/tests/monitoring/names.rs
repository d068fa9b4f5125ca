//! What dashboard, rules and runbook ask for is what the services tell: every metric, every label, every value.

use std::collections::{BTreeMap, BTreeSet};

use super::promql::{Matcher, Named, Selector, named};
use super::repository::{MONITORING, assert_none};
use super::table::{Known, Values, metrics};
use super::{alerts, dashboard, runbook};

/// The jobs that the services are scraped as.
const JOBS: [&str; 4] = ["tidelog-gateway", "tidelog-ingest", "tidelog-projector", "tidelog-compactor"];

/// Everything that can be asked for.
pub struct Names(BTreeMap<String, Known>);

impl Names {
    /// The metrics of the services, of Prometheus, and of the recording rules.
    pub fn all() -> Self {
        let mut names = metrics();
        let none = Known { histogram: false, labels: BTreeMap::new() };
        let of_alerts = ["alertname", "alertstate", "severity"].map(|label| (label.to_owned(), Values::Any));
        names.insert("ALERTS".to_owned(), Known { labels: of_alerts.into(), ..none.clone() });
        names.insert("up".to_owned(), none.clone());
        names.extend(alerts::recorded().into_iter().map(|name| (name, none.clone())));
        Self(names)
    }

    /// What an expression asks for and nobody tells.
    pub fn faults(&self, expression: &str) -> Vec<String> {
        let Named { selectors, grouping, .. } = named(expression);
        let mut faults: Vec<String> =
            selectors.iter().flat_map(|selector| self.faults_of(selector)).collect();
        let mut labels: BTreeSet<&str> = BTreeSet::from(["job", "instance"]);
        for (known, bucket) in selectors.iter().filter_map(|selector| self.find(&selector.metric)) {
            labels.extend(known.labels.keys().map(String::as_str).chain(bucket.then_some("le")));
        }
        let unknown = grouping.iter().filter(|label| !labels.contains(label.as_str()));
        faults.extend(unknown.map(|label| format!("no metric has the label {label}: {expression}")));
        faults
    }

    fn faults_of(&self, Selector { metric, matchers }: &Selector) -> Vec<String> {
        let Some((known, bucket)) = self.find(metric) else {
            return vec![format!("there is no metric {metric}")];
        };
        let judge = |Matcher { label, value, pattern }: &Matcher| {
            let values = match label.as_str() {
                "job" => Values::These(JOBS.map(str::to_owned).into()),
                "instance" => Values::Any,
                "le" if bucket => Values::Any,
                other => match known.labels.get(other) {
                    Some(values) => values.clone(),
                    None => return vec![format!("{metric} has no label {label}")],
                },
            };
            let asked = if *pattern { alternatives(value) } else { vec![value.clone()] };
            let wrong =
                asked.into_iter().filter(|value| !value.contains(['$', '*', '+']) && !values.have(value));
            wrong.map(|value| format!("{metric}: {label} is never {value}")).collect()
        };
        matchers.iter().flat_map(judge).collect()
    }

    /// The metric that a series belongs to, and whether the series is a bucket.
    fn find(&self, series: &str) -> Option<(&Known, bool)> {
        if let Some(known) = self.0.get(series) {
            return (!known.histogram).then_some((known, false));
        }
        let (name, part) = series.rsplit_once('_')?;
        let known =
            self.0.get(name).filter(|known| known.histogram && ["bucket", "sum", "count"].contains(&part))?;
        Some((known, part == "bucket"))
    }
}

/// What a pattern stands for: `a|b`, `a-(b|c)`. Others stay as they are.
fn alternatives(pattern: &str) -> Vec<String> {
    let (before, rest) = pattern.split_once('(').unwrap_or(("", pattern));
    let (inside, behind) = rest.split_once(')').unwrap_or((rest, ""));
    inside.split('|').map(|one| format!("{before}{one}{behind}")).collect()
}

#[test]
fn the_dashboard_asks_only_for_what_there_is() {
    let names = Names::all();
    let queries = dashboard::queries();
    assert!(queries.len() > 80, "{queries:?}");
    let faults = queries.iter().flat_map(|(panel, query)| {
        names.faults(query).into_iter().map(move |fault| format!("{panel}: {fault}"))
    });
    assert_none(&format!("{MONITORING}/dashboard.json"), faults);
}

#[test]
fn the_rules_ask_only_for_what_there_is() {
    let names = Names::all();
    let faults = alerts::rules().into_iter().flat_map(|rule| {
        let name = rule.name();
        names.faults(rule.expression()).into_iter().map(move |fault| format!("{name}: {fault}"))
    });
    assert_none(&format!("{MONITORING}/alerts.yaml"), faults.collect::<Vec<_>>());
}

#[test]
fn the_runbook_and_the_page_on_metrics_ask_only_for_what_there_is() {
    let names = Names::all();
    let mut queries = runbook::blocks("promql");
    queries.extend(runbook::blocks_of("docs/operations/metrics.md", "promql"));
    assert!(queries.len() > 20, "{queries:?}");
    let faults = queries.iter().flat_map(|(page, block)| {
        let queries = block.lines().filter(|line| !line.is_empty());
        let faults = queries.flat_map(|query| names.faults(query));
        faults.map(move |fault| format!("{page}: {fault}"))
    });
    assert_none("docs/operations", faults);
}

#[test]
fn a_wrong_name_label_or_value_is_found() {
    let names = Names::all();
    let check = |expression: &str, fault: &str| {
        let faults = names.faults(expression);
        assert_eq!(faults.is_empty(), fault.is_empty(), "{expression}: {faults:?}");
        assert!(faults.join("\n").contains(fault), "{expression}: {faults:?}");
    };
    check("rate(tidelog_gateway_pushes_total{outcome=\"committed\"}[5m])", "");
    check("rate(tidelog_gateway_push_total[5m])", "no metric tidelog_gateway_push_total");
    check("rate(tidelog_gateway_pushes_total{result=\"committed\"}[5m])", "no label result");
    check("rate(tidelog_gateway_pushes_total{outcome=\"comitted\"}[5m])", "outcome is never comitted");
    check("rate(tidelog_gateway_pushes_total{outcome=~\"committed|lost\"}[5m])", "outcome is never lost");
    check("sum by (result) (rate(tidelog_gateway_pushes_total[5m]))", "no metric has the label result");
    check("tidelog_gateway_push_seconds > 1", "no metric tidelog_gateway_push_seconds");
    check("tidelog_gateway_pushes_total_bucket", "no metric tidelog_gateway_pushes_total_bucket");
    check("sum by (le) (rate(tidelog_gateway_push_seconds_bucket[5m]))", "");
    check("sum by (le) (rate(tidelog_gateway_push_seconds_sum[5m]))", "no metric has the label le");
    check("up{job=~\"tidelog-(gateway|ingest)\"} == 0", "");
    check("up{job=~\"tidelog-(gateway|injest)\"} == 0", "job is never tidelog-injest");
    check("tidelog_gateway_connections{job=~\"$service\",instance=~\"$instance\"}", "");
}
