//! What the servers beside Tidelog are configured with is what they take.

use std::collections::BTreeSet;
use std::process::Command;

use tidelog_cli::local::{Given, Toolbox};

use super::compose::{SERVICES, default_port};
use super::repository::{read, root, yaml};

#[test]
fn nats_server_takes_its_configuration_and_refuses_one_with_a_mistake() {
    let toolbox = Toolbox::fetch(&Given::from_environment(), |line| println!("{line}")).unwrap();
    let takes = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nats.conf");
        std::fs::write(&file, text).unwrap();
        Command::new(toolbox.nats_server()).arg("-t").arg("-c").arg(file).output().unwrap().status.success()
    };
    let text = read("deploy/compose/nats.conf");
    assert!(takes(&text));
    assert!(!takes(&text.replace("max_file_store", "max_file_stores")));
    assert!(text.contains("\nmax_payload: 8MB\n"), "a frame of 4 MiB and its headers fit");
}

#[test]
fn prometheus_asks_every_service_and_takes_its_configuration() {
    let file = "deploy/compose/prometheus.yaml";
    let jobs = yaml(file);
    let jobs = jobs["scrape_configs"].as_array().unwrap();
    let asked: BTreeSet<(&str, u64)> = jobs
        .iter()
        .map(|job| {
            let found = &job["dns_sd_configs"][0];
            (found["names"][0].as_str().unwrap(), found["port"].as_u64().unwrap())
        })
        .collect();
    let operations = SERVICES
        .iter()
        .map(|service| (service.name, u64::from(default_port(service.listens[service.listens.len() - 1]))));
    assert_eq!(asked, operations.collect());
    let output =
        Command::new("promtool").args(["check", "config", "--syntax-only"]).arg(root().join(file)).output();
    let output =
        output.unwrap_or_else(|error| panic!("promtool: {error}; install it: apt-get install prometheus"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn grafana_is_given_the_source_and_the_folder_that_compose_mounts() {
    let source = yaml("deploy/compose/grafana/datasource.yaml");
    assert_eq!(source["datasources"][0]["url"], "http://prometheus:9090");
    let folder = yaml("deploy/compose/grafana/dashboards.yaml");
    let folder = folder["providers"][0]["options"]["path"].as_str().unwrap().to_owned();
    let compose = yaml("deploy/compose.yaml");
    let grafana = &compose["services"]["grafana"];
    let mounts = grafana["volumes"].as_array().unwrap();
    let targets: Vec<&str> = mounts.iter().filter_map(|mount| mount["target"].as_str()).collect();
    assert!(targets.contains(&format!("{folder}/tidelog.json").as_str()), "{targets:?}");
    let home = &grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    assert_eq!(home, &format!("{folder}/tidelog.json"));
}
