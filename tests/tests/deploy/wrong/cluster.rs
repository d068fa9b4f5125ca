//! What a cluster would refuse, lose or let in.

use serde_json::json;

use super::Wrong::{Gone, Set, Text};
use super::{check, with};
use crate::deploy::broker::accepted;
use crate::deploy::custom::parted;
use crate::deploy::programs::validate;

#[test]
fn an_unknown_field_of_an_extension_is_found() {
    check(vec![
        (
            "ServiceMonitor/tidelog",
            Set("/spec/endpoints/0/intervall", json!("15s")),
            vec!["ServiceMonitor/tidelog: /spec/endpoints/0: "],
        ),
        (
            "Cluster/tidelog-db",
            Set("/spec/postgresql/synchronous/durability", json!("required")),
            vec!["Cluster/tidelog-db: /spec/postgresql/synchronous: "],
        ),
        (
            "ScaledObject/tidelog-ingest",
            Set("/spec/maxReplicas", json!(4)),
            vec!["ScaledObject/tidelog-ingest: /spec: "],
        ),
        (
            "ScaledObject/tidelog-ingest",
            Set("/spec/fallback/behavior", json!("least")),
            vec!["ScaledObject/tidelog-ingest: /spec/fallback/behavior: "],
        ),
        (
            "ScaledObject/tidelog-ingest",
            Set("/spec/minReplicaCount", json!("two")),
            vec!["ScaledObject/tidelog-ingest: /spec/minReplicaCount: "],
        ),
        (
            "HTTPRoute/tidelog",
            Set("/spec/rules/0/timeout", json!("0s")),
            vec!["HTTPRoute/tidelog: /spec/rules/0: "],
        ),
        (
            "PrometheusRule/tidelog",
            Set("/spec/groups/0/rule", json!([])),
            vec!["PrometheusRule/tidelog: /spec/groups/0: "],
        ),
        (
            "Gateway/tidelog",
            Set("/kind", json!("Gateways")),
            vec![
                "Gateways/tidelog: no schema",
                "HTTPRoute/tidelog: there is no listener \"https\"",
                "HTTPRoute/tidelog-to-https: there is no listener \"http\"",
            ],
        ),
    ]);
}

#[test]
fn an_unknown_field_of_kubernetes_itself_is_found() {
    let wrong = Set("/spec/template/spec/containers/0/livenessprobe", json!({}));
    let found = validate(&parted(&with("Deployment/tidelog-gateway", &wrong)).0);
    assert!(found.iter().any(|found| found.contains("livenessprobe")), "{found:?}");
}

#[test]
fn a_pod_with_privileges_or_of_another_program_is_found() {
    let (ingest, nats) = ("Deployment/tidelog-ingest", "StatefulSet/nats");
    check(vec![
        (
            ingest,
            Set("/spec/template/spec/containers/0/image", json!("tidelog:latest")),
            vec!["Deployment/tidelog-ingest: container ingest: the image has no version", "images: "],
        ),
        (
            nats,
            Set("/spec/template/spec/containers/0/image", json!("nats:2.10.0")),
            vec!["StatefulSet/nats: container nats: nats:2.10.0 is not what"],
        ),
        (
            ingest,
            Set("/spec/template/spec/containers/0/command/0", json!("tidelog-digest")),
            vec!["Deployment/tidelog-ingest: container ingest: there is no program `tidelog-digest`"],
        ),
        (
            "Job/tidelog-migrate",
            Set("/metadata/name", json!("tidelog-migrate")),
            vec!["Job/tidelog-migrate: a new version needs a new name"],
        ),
        (
            ingest,
            Gone("/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem"),
            vec!["Deployment/tidelog-ingest: container ingest: readOnlyRootFilesystem"],
        ),
        (
            nats,
            Set(
                "/spec/template/spec/containers/0/securityContext/capabilities",
                json!({"drop": ["ALL"], "add": ["NET_ADMIN"]}),
            ),
            vec!["StatefulSet/nats: container nats: not all capabilities"],
        ),
        (
            ingest,
            Set("/spec/template/spec/securityContext/runAsUser", json!(0)),
            vec!["Deployment/tidelog-ingest: it does not run as the image's user"],
        ),
        (
            ingest,
            Gone("/spec/template/spec/containers/0/resources/limits/memory"),
            vec!["Deployment/tidelog-ingest: container ingest: no /resources/limits/memory"],
        ),
        (
            "Namespace/tidelog",
            Gone("/metadata/labels/pod-security.kubernetes.io~1enforce"),
            vec!["Namespace/tidelog: "],
        ),
    ]);
}

#[test]
fn what_would_not_survive_a_node_or_a_rollout_is_found() {
    let gateway = "Deployment/tidelog-gateway";
    check(vec![
        (
            "PodDisruptionBudget/tidelog-gateway",
            Set("/spec/selector", json!({"matchLabels": {"app": "x"}})),
            vec!["Deployment/tidelog-gateway: 0 PodDisruptionBudgets"],
        ),
        (
            gateway,
            Gone("/spec/template/spec/topologySpreadConstraints/1"),
            vec!["Deployment/tidelog-gateway: not spread over topology.kubernetes.io/zone"],
        ),
        (
            gateway,
            Set("/spec/template/spec/terminationGracePeriodSeconds", json!(20)),
            vec!["Deployment/tidelog-gateway: it may take 25 s to stop, and is killed after 20 s"],
        ),
        (
            gateway,
            Set("/spec/replicas", json!(2)),
            vec!["HorizontalPodAutoscaler/tidelog-gateway: Deployment/tidelog-gateway says its own"],
        ),
        (
            "HorizontalPodAutoscaler",
            Set("/spec/maxReplicas", json!(20)),
            vec!["PostgreSQL has 400 connections"],
        ),
        (
            "ScaledObject/tidelog-ingest",
            Set("/spec/maxReplicaCount", json!(5)),
            vec!["Deployment/tidelog-ingest: up to 5 replicas"],
        ),
    ]);
}

#[test]
fn what_is_named_and_not_there_is_found() {
    let ingest = "Deployment/tidelog-ingest";
    check(vec![
        (
            ingest,
            Set("/spec/template/spec/containers/0/env/1/valueFrom/secretKeyRef/key", json!("url")),
            vec![
                "Deployment/tidelog-ingest: docs/operations/kubernetes.md does not tell of the Secret `tidelog-ingest` with `url`",
            ],
        ),
        (
            ingest,
            Set("/spec/template/spec/containers/0/volumeMounts/0/subPath", json!("config.toml")),
            vec!["Deployment/tidelog-ingest: /etc/tidelog is mounted with subPath"],
        ),
        (
            ingest,
            Set("/spec/template/spec/serviceAccountName", json!("default")),
            vec!["Deployment/tidelog-ingest: there is no ServiceAccount `default`"],
        ),
        (
            "NetworkPolicy/default-deny",
            Set("/spec/policyTypes", json!(["Ingress"])),
            vec!["NetworkPolicy/default-deny: "],
        ),
        (
            "ConfigMap/tidelog-schema",
            Set("/kind", json!("Secret")),
            vec![
                "Deployment/tidelog-compactor: schema.file: there is no file",
                "Deployment/tidelog-gateway: schema.file: ",
                "Deployment/tidelog-ingest: schema.file: ",
                "Deployment/tidelog-projector: schema.file: ",
                "Job/tidelog-migrate-0.2.0: schema.file: ",
                "Secret/tidelog-schema: secrets are not in the repository",
                "Deployment/tidelog-compactor: there is no ConfigMap `tidelog-schema`",
                "Deployment/tidelog-gateway: ",
                "Deployment/tidelog-ingest: ",
                "Deployment/tidelog-projector: ",
                "Job/tidelog-migrate-0.2.0: ",
            ],
        ),
    ]);
}

#[test]
fn a_service_with_anothers_password_is_found() {
    check(vec![
        (
            "Deployment/tidelog-ingest",
            Set(
                "/spec/template/spec/containers/0/env/2/valueFrom/secretKeyRef/name",
                json!("tidelog-migrate"),
            ),
            vec![
                "Deployment/tidelog-ingest: TIDELOG__DATABASE__URL is from `tidelog-migrate`, not `tidelog-ingest`",
            ],
        ),
        (
            "Cluster/tidelog-db",
            Set("/spec/managed/roles/1/passwordSecret/name", json!("tidelog-db-migrate")),
            vec!["Cluster/tidelog-db: no role `tidelog_ingest` with its own Secret"],
        ),
        (
            "Cluster/tidelog-db",
            Set("/spec/imageName", json!("ghcr.io/cloudnative-pg/postgresql:17.1-standard-trixie")),
            vec!["Cluster: PostgreSQL 17.1-standard-trixie is not what"],
        ),
    ]);
}

#[test]
fn a_broker_that_would_lose_its_store_is_found() {
    let nats = "StatefulSet/nats";
    check(vec![
        (
            nats,
            Set("/spec/template/spec/containers/0/volumeMounts/0/mountPath", json!("/elsewhere")),
            vec!["StatefulSet/nats: /data/jetstream is on no volume that stays"],
        ),
        (nats, Set("/spec/replicas", json!(5)), vec!["nats.conf: 3 routes, 3 of them to the 5 servers"]),
        (
            nats,
            Set("/spec/template/spec/containers/0/resources/limits/memory", json!("8Gi")),
            vec!["StatefulSet/nats: requests are not limits"],
        ),
        (
            "ConfigMap/tidelog-nats",
            Text("/data/nats.conf", "http_port: 8222", "http_port: 8223"),
            vec!["nats.conf: http_port is not the port monitor"],
        ),
    ]);
}

#[test]
fn a_configuration_that_nats_server_does_not_take_is_found() {
    let wrong = Text("/data/nats.conf", "sync_interval: always", "sync_intervall: always");
    let said = accepted(&with("ConfigMap/tidelog-nats", &wrong)).unwrap_err();
    assert!(said.contains("sync_intervall"), "{said}");
}
