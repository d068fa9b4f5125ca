//! The component `nats-tls`: what it makes passes every check, and nats-server takes it with certificates.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::broker::accepted;
use super::configuration::load;
use super::custom::parted;
use super::manifests::{find, items, of_kind, text, workloads};
use super::overlays::findings;
use super::programs::{WITH_TLS, file, validate};

#[test]
fn production_with_tls_to_nats_passes_every_check() {
    assert_eq!(findings(&WITH_TLS), Vec::<String>::new());
    assert_eq!(validate(&parted(&WITH_TLS).0), Vec::<String>::new());
}

#[test]
fn the_components_nats_conf_is_the_bases_with_tls_switched_on() {
    let base = file("deploy/kubernetes/base/nats/nats.conf");
    assert_eq!(base.matches("# include ./tls.conf").count(), 2);
    assert_eq!(
        file("deploy/kubernetes/components/nats-tls/nats.conf"),
        base.replace("# include ./tls.conf", "include ./tls.conf")
    );
}

#[test]
fn who_uses_the_broker_has_the_certificates_that_its_configuration_names() {
    for workload in workloads(&WITH_TLS) {
        let component = workload.component();
        let wanted = match component {
            "broker" => "tidelog-nats-tls".to_owned(),
            "gateway" | "ingest" | "projector" | "migrate" => format!("tidelog-{component}-nats-tls"),
            _ => continue,
        };
        let mounts = items(&workload.containers()[0], "/volumeMounts");
        let mount = mounts.iter().find(|mount| text(mount, "/mountPath") == "/etc/nats-tls").unwrap();
        let volumes = items(workload.pod(), "/volumes");
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        assert_eq!(text(volume, "/secret/secretName"), wanted);
        // Without it the files would be root's alone.
        assert!(workload.pod()["securityContext"].get("fsGroup").is_some(), "{component}");
        if workload.is_ours() {
            let broker: BTreeMap<String, Value> =
                load(&WITH_TLS, &workload).unwrap().section("broker").unwrap();
            for (key, file) in
                [("tls_ca_file", "ca.crt"), ("tls_certificate_file", "tls.crt"), ("tls_key_file", "tls.key")]
            {
                assert_eq!(broker[key], json!(format!("/etc/nats-tls/{file}")), "{component}");
            }
        }
    }
}

#[test]
fn nats_server_takes_the_configuration_with_certificates_and_not_without() {
    let said = accepted(&WITH_TLS).unwrap_err();
    assert!(said.contains("/etc/nats-tls"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let hosts = vec!["*.nats-headless".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(hosts).unwrap();
    for (name, text) in
        [("ca.crt", cert.pem()), ("tls.crt", cert.pem()), ("tls.key", signing_key.serialize_pem())]
    {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut manifests = WITH_TLS.clone();
    let maps = of_kind(&manifests, "ConfigMap");
    let map = maps.iter().find(|map| map["data"].get("tls.conf").is_some()).unwrap();
    let name = text(map, "/metadata/name").to_owned();
    let tls = text(find(&manifests, "ConfigMap", &name).unwrap(), "/data/tls.conf");
    let tls = tls.replace("/etc/nats-tls", folder.path().to_str().unwrap());
    let map = manifests.iter_mut().find(|found| text(found, "/metadata/name") == name).unwrap();
    map["data"]["tls.conf"] = json!(tls);
    assert_eq!(accepted(&manifests), Ok(()));
}
