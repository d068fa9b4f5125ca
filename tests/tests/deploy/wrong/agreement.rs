//! Where manifests and code do not agree: keys, values, ports, probes.

use serde_json::json;

use super::Wrong::{Gone, Set, Text};
use super::check;

#[test]
fn a_wrong_key_is_found() {
    let projector = "Deployment/tidelog-projector";
    let variable = json!({"name": "TIDELOG__PROJECTOR__LINGER", "value": "50"});
    check(vec![
        (
            "ConfigMap/tidelog-settings",
            Set("/data/TIDELOG__BROKER__REPLICA", json!("3")),
            vec![
                "Deployment/tidelog-compactor: TIDELOG__BROKER__REPLICA: there is no key `broker.replica`; did you mean",
                "Deployment/tidelog-gateway: TIDELOG__BROKER__REPLICA: there is no key",
                "Deployment/tidelog-ingest: TIDELOG__BROKER__REPLICA: there is no key",
                projector,
                "Job/tidelog-migrate-",
            ],
        ),
        (
            "ConfigMap/tidelog-config",
            Text("/data/config.toml", "work_folder", "work_dir"),
            vec![
                "Deployment/tidelog-compactor: /etc/tidelog/config.toml … : there is no key `compactor.work_dir`",
                "Deployment/tidelog-gateway: /etc/tidelog/config.toml … : there is no key",
                "Deployment/tidelog-ingest: ",
                projector,
                "Job/tidelog-migrate-",
            ],
        ),
        (
            projector,
            Set("/spec/template/spec/containers/0/env/1", variable),
            vec![
                "Deployment/tidelog-projector: TIDELOG__PROJECTOR__LINGER: there is no key `projector.linger`",
            ],
        ),
    ]);
}

#[test]
fn a_wrong_value_is_found() {
    let everywhere = |what| {
        let ours = ["compactor", "gateway", "ingest", "projector"]
            .map(|name| format!("Deployment/tidelog-{name}: … {what}"));
        let ours = ours.into_iter().chain([format!("Job/tidelog-migrate-0.2.0: … {what}")]);
        ours.map(|text| &*text.leak()).collect::<Vec<&'static str>>()
    };
    let settings = "ConfigMap/tidelog-settings";
    check(vec![
        (
            settings,
            Set("/data/TIDELOG__BROKER__REPLICAS", json!("three")),
            everywhere("TIDELOG__BROKER__REPLICAS: `broker.replicas` must be"),
        ),
        (
            settings,
            Set("/data/TIDELOG__PROJECTOR__LINGER_MS", json!("5000")),
            everywhere("`projector.linger_ms` cannot be used"),
        ),
        (
            settings,
            Set("/data/TIDELOG__DATABASE__STATEMENT_TIMEOUT_MS", json!("30000")),
            everywhere("`database.statement_timeout_ms`"),
        ),
        (
            "ConfigMap/tidelog-schema",
            Text("/data/schema.yaml", "version: ", "versions: "),
            everywhere("schema.file: "),
        ),
        (
            settings,
            Set("/data/TIDELOG__BROKER__REPLICAS", json!("5")),
            vec!["broker.replicas is 5, of 3 servers"],
        ),
        (
            settings,
            Set("/data/TIDELOG__BROKER__LOG_MAX_BYTES", json!("17179869184")),
            vec!["nats.conf: max_file_store"],
        ),
        (
            settings,
            Set("/data/TIDELOG__INGEST__MAX_REPLICAS", json!("3")),
            vec!["Deployment/tidelog-ingest: up to 4 replicas"],
        ),
    ]);
}

#[test]
fn a_wrong_port_is_found() {
    let (gateway, file) = ("Deployment/tidelog-gateway", "/data/config.toml");
    check(vec![
        (
            "ConfigMap/tidelog-config",
            Text(file, "0.0.0.0:9082", "0.0.0.0:9092"),
            vec!["Deployment/tidelog-projector: no port operations with number 9092"],
        ),
        (
            "ConfigMap/tidelog-config",
            Text(file, "0.0.0.0:8080", "127.0.0.1:8080"),
            vec!["Deployment/tidelog-gateway: public listens on 127.0.0.1:8080, where nobody comes in"],
        ),
        (
            "Deployment/tidelog-projector",
            Set("/spec/template/spec/containers/0/ports/0/containerPort", json!(9092)),
            vec!["Deployment/tidelog-projector: no port operations with number 9082"],
        ),
        (
            "Service/tidelog-admin",
            Set("/spec/ports/0/targetPort", json!(8082)),
            vec!["Service/tidelog-admin: Deployment/tidelog-gateway has no port 8082"],
        ),
        (
            "HTTPRoute/tidelog",
            Set("/spec/rules/1/backendRefs/0/port", json!(8080)),
            vec!["HTTPRoute/tidelog: tidelog-gateway has no public port"],
        ),
        (
            "HTTPRoute/tidelog",
            Set("/spec/rules/1/backendRefs/0/name", json!("tidelog-admin")),
            vec!["HTTPRoute/tidelog: tidelog-admin has no public port"],
        ),
        (
            "ServiceMonitor/tidelog",
            Set("/spec/endpoints/0/port", json!("metrics")),
            vec!["ServiceMonitor/tidelog: no Service has the port \"metrics\""],
        ),
        (
            gateway,
            Set("/spec/template/spec/containers/0/readinessProbe/httpGet/port", json!("public")),
            vec!["Deployment/tidelog-gateway: container gateway: readinessProbe asks port \"public\""],
        ),
        (
            "NetworkPolicy/public",
            Set("/spec/ingress/0/ports/0/port", json!(8088)),
            vec!["NetworkPolicy/public: nothing listens on 8088"],
        ),
        (
            "NetworkPolicy/to-broker",
            Set("/spec/egress/0/ports/0/port", json!(4223)),
            vec![
                "NetworkPolicy: gateway cannot reach broker on 4222",
                "NetworkPolicy: ingest cannot reach broker on 4222",
                "NetworkPolicy: projector cannot reach broker on 4222",
                "NetworkPolicy: migrate cannot reach broker on 4222",
                "NetworkPolicy/to-broker: nothing listens on 4223",
            ],
        ),
    ]);
}

#[test]
fn a_missing_or_wrong_probe_is_found() {
    check(vec![
        (
            "Deployment/tidelog-gateway",
            Gone("/spec/template/spec/containers/0/startupProbe"),
            vec!["Deployment/tidelog-gateway: container gateway: no startupProbe"],
        ),
        (
            "Deployment/tidelog-ingest",
            Gone("/spec/template/spec/containers/0/readinessProbe"),
            vec!["Deployment/tidelog-ingest: container ingest: no readinessProbe"],
        ),
        (
            "StatefulSet/nats",
            Gone("/spec/template/spec/containers/0/livenessProbe"),
            vec!["StatefulSet/nats: container nats: no livenessProbe"],
        ),
        (
            "Deployment/tidelog-compactor",
            Set("/spec/template/spec/containers/0/livenessProbe/httpGet/path", json!("/readyz")),
            vec![
                "Deployment/tidelog-compactor: container compactor: livenessProbe asks /readyz, not /healthz",
            ],
        ),
        (
            "Deployment/tidelog-gateway",
            Set("/spec/template/spec/containers/0/readinessProbe/failureThreshold", json!(30)),
            vec!["Deployment/tidelog-gateway: container gateway: readiness turns red after 65 s"],
        ),
    ]);
}
