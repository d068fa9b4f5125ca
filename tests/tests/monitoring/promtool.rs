//! The rules, as Prometheus itself judges them.

use serde_json::{Value, json};

use super::alerts::TESTS;
use super::repository::{MONITORING, run, text};
use super::{dashboard, runbook};

fn promtool(arguments: &[&str]) -> (bool, String) {
    let output = run("promtool", arguments);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

#[test]
fn prometheus_accepts_the_rules() {
    let (accepted, said) = promtool(&["check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"]);
    assert!(accepted, "{said}");
}

#[test]
fn prometheus_accepts_every_query_of_the_dashboard_and_the_runbook() {
    let of_dashboard = dashboard::queries().into_iter().map(|(_, query)| query);
    let of_runbook = runbook::blocks("promql").into_iter().flat_map(|(_, block)| {
        let queries: Vec<String> = block.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        queries
    });
    let queries = of_dashboard.chain(of_runbook).enumerate();
    // Rules of nobody's, since promtool reads queries nowhere else. YAML may be JSON.
    let rules: Vec<Value> = queries
        .map(|(number, query)| {
            let query = query.replace("$__rate_interval", "5m").replace("$__range", "1h");
            json!({ "record": format!("query:{number}"), "expr": query })
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queries.yaml");
    std::fs::write(&file, json!({ "groups": [{ "name": "queries", "rules": rules }] }).to_string()).unwrap();
    let (accepted, said) = promtool(&["check", "rules", file.to_str().unwrap()]);
    assert!(accepted, "{said}");
}

#[test]
fn the_alerts_fire_when_they_should_and_say_what_they_should() {
    let tests = TESTS.map(|file| std::thread::spawn(move || promtool(&["test", "rules", file])));
    for test in tests {
        let (passed, said) = test.join().unwrap();
        assert!(passed, "{said}");
    }
}

#[test]
fn an_alert_that_does_not_fire_when_it_should_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let tests = text(&format!("{MONITORING}/{}", TESTS[0]));
    let (head, cases) = tests.split_once("tests:\n").unwrap();
    let case = cases.split("  - name: ").find(|case| case.contains("TidelogDivergence fires")).unwrap();
    let file = folder.path().join("planted.test.yaml");
    std::fs::write(&file, format!("{head}tests:\n  - name: {case}")).unwrap();
    let judge = |rules: &str| {
        std::fs::write(folder.path().join("alerts.yaml"), rules).unwrap();
        promtool(&["test", "rules", file.to_str().unwrap()])
    };
    let rules = text(&format!("{MONITORING}/alerts.yaml"));
    let (passed, said) = judge(&rules);
    assert!(passed, "{said}");
    let planted =
        rules.replace("tidelog_ingest_divergences_total[1h]", "tidelog_ingest_divergence_total[1h]");
    let (passed, said) = judge(&planted);
    assert!(!passed && said.contains("TidelogDivergence"), "{said}");
}
