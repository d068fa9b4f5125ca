//! What `deploy/` tells a cluster to run, held against the schemas of Kubernetes and of its extensions, against the services'
//! own configuration, and against itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not there fails the test")]

mod deploy {
    mod availability;
    mod broker;
    mod compose;
    mod configuration;
    mod custom;
    mod extensions;
    mod manifests;
    mod monitoring;
    mod network;
    mod overlays;
    mod pods;
    mod ports;
    mod probes;
    mod programs;
    mod quantity;
    mod references;
    mod tls;
    mod wrong;
}
