//! The alert rules are the same in plain Prometheus and in Kubernetes, and autoscalers ask for what is measured.

use serde_json::Value;

use super::manifests::of_kind;
use super::programs::{PRODUCTION, file};

#[test]
fn the_prometheus_rule_has_the_alert_rules() {
    let plain: Value = serde_saphyr::from_str(&file("deploy/monitoring/alerts.yaml")).unwrap();
    let rules = of_kind(&PRODUCTION, "PrometheusRule");
    let [rule] = rules.as_slice() else { panic!("{} PrometheusRules", rules.len()) };
    assert!(plain["groups"].as_array().is_some_and(|groups| !groups.is_empty()));
    assert_eq!(
        rule["spec"]["groups"], plain["groups"],
        "`tools/prometheus-rule` makes deploy/kubernetes/components/monitoring/prometheus-rule.yaml anew"
    );
}
