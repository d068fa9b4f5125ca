//! What the image says of the containers that are made from it.

use std::collections::BTreeSet;

use super::compose::{SERVICES, default_port};
use super::steps::Build;

#[test]
fn a_container_is_not_root_and_is_stopped_as_services_want_it() {
    let build = Build::read();
    assert_eq!(build.of_runtime("USER"), ["10001:10001"]);
    assert_eq!(build.of_runtime("STOPSIGNAL"), ["SIGTERM"]);
    assert!(build.of_runtime("RUN").iter().all(|command| command.contains("-o 10001 -g 10001 ")));
}

#[test]
fn the_ports_are_the_defaults_of_the_configuration() {
    let build = Build::read();
    let exposed: BTreeSet<u16> =
        build.of_runtime("EXPOSE")[0].split(' ').map(|port| port.parse().unwrap()).collect();
    let listening = SERVICES.iter().flat_map(|service| service.listens.iter());
    assert_eq!(exposed, listening.map(|key| default_port(key)).collect());
}

/// A variable of the image would win over an operator's configuration file, and nobody would see why.
#[test]
fn the_image_decides_nothing_that_the_configuration_decides() {
    let build = Build::read();
    assert_eq!(build.of_runtime("ENV"), Vec::<&str>::new());
    assert_eq!(build.of_runtime("ENTRYPOINT"), Vec::<&str>::new());
}

#[test]
fn certificates_come_with_it_and_whatever_is_written_has_a_folder() {
    let build = Build::read();
    let copies = build.of_runtime("COPY");
    assert!(
        copies.contains(&"--from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/"),
        "{copies:?}"
    );
    let made = build.of_runtime("RUN").join(" ");
    for folder in ["/var/lib/tidelog/archive", "/var/lib/tidelog/work"] {
        assert!(made.split(' ').any(|word| word == folder), "{folder}: {made}");
    }
}
