//! Every overlay passes every check.

use serde_json::Value;

use super::manifests::of_kind;
use super::programs::{PRODUCTION, SINGLE_NODE, overlays, validate};
use super::{
    availability, broker, configuration, custom, extensions, network, pods, ports, probes, references,
};

/// Everything that is wrong with rendered manifests.
pub fn findings(manifests: &[Value]) -> Vec<String> {
    let checks = [
        availability::findings,
        broker::findings,
        configuration::findings,
        custom::findings,
        extensions::findings,
        network::findings,
        pods::findings,
        ports::findings,
        probes::findings,
        references::findings,
    ];
    checks.iter().flat_map(|check| check(manifests)).collect()
}

#[test]
fn every_overlay_agrees_with_the_code_and_with_itself() {
    for (name, manifests) in overlays() {
        assert_eq!(findings(manifests), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_overlay_is_valid_for_kubernetes() {
    for (name, manifests) in overlays() {
        assert_eq!(validate(&custom::parted(manifests).0), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn nats_server_takes_the_configuration_of_every_overlay() {
    for (name, manifests) in overlays() {
        assert_eq!(broker::accepted(manifests), Ok(()), "{name}");
    }
}

#[test]
fn the_overlays_have_what_they_are_for() {
    let kinds = |manifests: &[Value], kind: &str| of_kind(manifests, kind).len();
    for kind in ["Cluster", "HorizontalPodAutoscaler", "ServiceMonitor", "PrometheusRule", "Gateway"] {
        assert_eq!((kinds(&PRODUCTION, kind), kinds(&SINGLE_NODE, kind)), (1, 0), "{kind}");
    }
    assert_eq!(kinds(&PRODUCTION, "ScaledObject"), 2);
    assert_eq!((kinds(&PRODUCTION, "Deployment"), kinds(&SINGLE_NODE, "Deployment")), (4, 3));
    assert_eq!((kinds(&PRODUCTION, "CronJob"), kinds(&SINGLE_NODE, "CronJob")), (0, 1));
    assert_eq!((kinds(&PRODUCTION, "Job"), kinds(&SINGLE_NODE, "Job")), (1, 1));
}
