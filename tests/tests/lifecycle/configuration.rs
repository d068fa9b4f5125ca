//! What a service says that cannot start: one line with the place, the key, what is wrong and what is allowed; no secret, no
//! backtrace; exit code 1.

use std::net::TcpListener;
use std::path::Path;

use super::process::{SCHEMA, file, program};

/// What a program says that is started with such a file and such variables, with `{folder}` for the folder.
fn said(
    name: &str,
    arguments: &[&str],
    folder: &Path,
    toml: &str,
    variables: &[(&str, &str)],
) -> (Option<i32>, String) {
    let place = folder.display().to_string();
    let filled = |text: &str| text.replace("{folder}", &place);
    let mut command = program(name);
    command.args(arguments).current_dir(folder).env("TIDELOG__TELEMETRY__FILTER", "off");
    if !toml.is_empty() {
        command.env("TIDELOG_CONFIG", file(folder, "config.toml", &filled(toml)));
    }
    for (variable, value) in variables {
        command.env(variable, filled(value));
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap().replace(&place, "{folder}");
    (output.status.code(), text)
}

/// What the gateway says.
fn check(toml: &str, variables: &[(&str, &str)], expect: &str) {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "broken.yaml", "name: [");
    file(folder.path(), "broken.pem", "no certificate");
    let (code, text) = said("tidelog-gateway", &[], folder.path(), toml, variables);
    assert_eq!(text, format!("tidelog-gateway: {expect}\n"), "{toml} {variables:?}");
    assert_eq!(code, Some(1));
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_line() {
    for (toml, expect) in [
        (
            "[gateway]\nlisten = \"127.0.0.1:0\"\ncommit_wait = 5\n",
            "{folder}/config.toml:3: there is no key `gateway.commit_wait`; did you mean `gateway.commit_wait_ms`?",
        ),
        ("[databse]\n", "{folder}/config.toml:1: there is no key `databse`"),
        (
            "[broker]\nreplicas = \"3\"\n",
            "{folder}/config.toml:2: `broker.replicas` must be a whole number, but is a text",
        ),
        (
            "[limits]\n\nbatch_events = 1001\n",
            "{folder}/config.toml:3: `limits.batch_events` cannot be used: 1001 is out of bounds: it must be from 1 to 1000",
        ),
        (
            "[gateway]\ndrain_delay_ms = 600001\n",
            "{folder}/config.toml:2: `gateway.drain_delay_ms` cannot be used: 600001 is out of bounds: it must be from 0 to \
             600000",
        ),
        (
            "[gateway]\nlisten = \"8080\"\n",
            "{folder}/config.toml:2: `gateway.listen` cannot be used: it must be an address and a port, such as \
             127.0.0.1:8080 or [::]:8080",
        ),
        (
            "[gateway]\ndrain_seconds = 5\n",
            "`live.drain_spread_ms` is 5000 (the built-in default) and `gateway.drain_seconds` is 5 \
             ({folder}/config.toml:2): the first must be shorter than the second",
        ),
        (
            "[telemetry]\nformat = \"xml\"\n",
            "{folder}/config.toml:2: `telemetry.format` cannot be used: unknown variant `xml`, expected `human` or `json`",
        ),
        (
            "[gateway]\ndrain_delay_ms = -1\n",
            "{folder}/config.toml:2: `gateway.drain_delay_ms` cannot be used: it must not be negative",
        ),
        (
            "[database]\nstatement_timeout_ms = 30000\n",
            "`database.statement_timeout_ms` is 30000 ({folder}/config.toml:2) and `broker.ack_wait_seconds` is 30 (the \
             built-in default): the first must be shorter than the second",
        ),
    ] {
        check(toml, &[], expect);
    }
}

#[test]
fn what_is_no_toml_is_named_with_the_place_and_no_secret_of_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "[auth]\nhs256_secret = \"hunter2hunter2\n";
    let (code, text) = said("tidelog-gateway", &[], folder.path(), toml, &[]);
    assert!(text.starts_with("tidelog-gateway: {folder}/config.toml:2:"), "{text}");
    assert!(text.contains(": this is not valid TOML: "), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!((code, text.lines().count()), (Some(1), 1), "{text}");
}

#[test]
fn a_variable_that_cannot_be_used_is_named() {
    for (variable, value, expect) in [
        (
            "TIDELOG__GATEWAY__LISTENN",
            "127.0.0.1:0",
            "TIDELOG__GATEWAY__LISTENN: there is no key `gateway.listenn`; did you mean `gateway.listen`?",
        ),
        (
            "TIDELOG__BROKER__REPLICAS",
            "three",
            "TIDELOG__BROKER__REPLICAS: `broker.replicas` must be a whole number, but is `three`",
        ),
        (
            "TIDELOG__ADMIN__LISTEN",
            "admin",
            "TIDELOG__ADMIN__LISTEN: `admin.listen` cannot be used: it must be an address and a port, such as \
             127.0.0.1:8081, or empty for none",
        ),
        (
            "TIDELOG__INGEST__LISTEN",
            "127.0.0.1:0",
            "TIDELOG__INGEST__LISTEN: there is no key `ingest.listen`",
        ),
        (
            "TIDELOG__DATABASE__URL",
            "mysql://me:hunter2@host/db",
            "TIDELOG__DATABASE__URL: `database.url` cannot be used: it must begin with postgresql:// or postgres://",
        ),
        (
            "TIDELOG__CLOCK__DAY_SECONDS",
            "48",
            "TIDELOG__CLOCK__DAY_SECONDS: `clock.day_seconds` cannot be used: `clock.day_seconds` is 48, but a day has \
             86400 seconds: shorter days let data go that others still count on. For tests, set `clock.development = \
             true` as well",
        ),
        (
            "TIDELOG_CONFIG",
            "{folder}/nowhere.toml",
            "{folder}/nowhere.toml: the configuration file (TIDELOG_CONFIG) cannot be read: No such file or directory \
             (os error 2)",
        ),
    ] {
        check("", &[(variable, value)], expect);
    }
}

#[test]
fn what_a_key_names_and_cannot_be_used_is_named_with_the_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = |variable: &str, key: &str| {
        let reason = format!("cannot listen on {address}: Address already in use (os error 98)");
        check("", &[(variable, &address)], &format!("{variable}: `{key}` cannot be used: {reason}"));
    };
    in_use("TIDELOG__GATEWAY__OPERATIONS_LISTEN", "gateway.operations_listen");
    let missing = "No such file or directory (os error 2)";
    for (variable, value, expect) in [
        (
            "TIDELOG__SCHEMA__FILE",
            "{folder}/schema.yaml",
            format!(
                "`schema.file` cannot be used: schema file {{folder}}/schema.yaml cannot be read: {missing}"
            ),
        ),
        (
            "TIDELOG__BROKER__CREDENTIALS_FILE",
            "{folder}/nats.creds",
            format!("`broker.credentials_file` cannot be used: {{folder}}/nats.creds: {missing}"),
        ),
        (
            "TIDELOG__AUTH__JWKS_FILE",
            "{folder}/keys.json",
            format!(
                "`auth.jwks_file` cannot be used: {{folder}}/keys.json: the file cannot be read: {missing}"
            ),
        ),
        (
            "TIDELOG__AUTH__HS256_SECRET",
            "hunter2",
            "`auth.hs256_secret` cannot be used: it has less than 32 bytes".to_owned(),
        ),
        ("TIDELOG__ARCHIVE__URL", "s3://", "`archive.url` cannot be used: it names no bucket".to_owned()),
    ] {
        check("", &[(variable, value)], &format!("{variable}: {expect}"));
    }
}

#[test]
fn certificates_that_cannot_be_used_are_named_with_their_key() {
    // Behind the ports, which must be free.
    let ports = [
        ("TIDELOG__GATEWAY__LISTEN", "127.0.0.1:0"),
        ("TIDELOG__GATEWAY__OPERATIONS_LISTEN", "127.0.0.1:0"),
        ("TIDELOG__ADMIN__LISTEN", ""),
    ];
    let (certificate, key) = ("TIDELOG__SERVER__TLS_CERTIFICATE_FILE", "TIDELOG__SERVER__TLS_KEY_FILE");
    for (files, expect) in [
        (
            vec![(certificate, "{folder}/nowhere.pem"), (key, "{folder}/broken.pem")],
            "TIDELOG__SERVER__TLS_CERTIFICATE_FILE: `server.tls_certificate_file` cannot be used: {folder}/nowhere.pem \
             cannot be read: No such file or directory (os error 2)",
        ),
        (
            vec![(certificate, "{folder}/broken.pem"), (key, "{folder}/nowhere.pem")],
            "TIDELOG__SERVER__TLS_KEY_FILE: `server.tls_key_file` cannot be used: {folder}/nowhere.pem cannot be read: No \
             such file or directory (os error 2)",
        ),
        (
            vec![(certificate, "{folder}/broken.pem")],
            "TIDELOG__SERVER__TLS_CERTIFICATE_FILE: `server.tls_certificate_file` cannot be used: \
             `server.tls_certificate_file` and `server.tls_key_file` go together: set both or none",
        ),
    ] {
        check("", &[&ports[..], &files].concat(), expect);
    }
}

#[test]
fn a_value_that_only_another_service_reads_stops_nobody_else_and_the_check_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "[ingest]\ntransaction_batches = 0\n[gateway]\nlisten = \"nowhere\"\n";
    let of_ingest =
        "{folder}/config.toml:2: `ingest.transaction_batches` cannot be used: must be greater than 0\n";
    let of_gateway = "{folder}/config.toml:4: `gateway.listen` cannot be used: it must be an address and a port, such as \
                      127.0.0.1:8080 or [::]:8080\n";
    for (name, expect) in [("ingest", of_ingest), ("gateway", of_gateway)] {
        let started = said(&format!("tidelog-{name}"), &[], folder.path(), toml, &[]);
        assert_eq!(started, (Some(1), format!("tidelog-{name}: {expect}")));
        let checked = said("tidelog", &["config", "check", "--service", name], folder.path(), toml, &[]);
        assert_eq!(checked, (Some(1), format!("tidelog: {expect}")));
    }
    let compactor = said("tidelog", &["config", "check", "--service", "compactor"], folder.path(), toml, &[]);
    assert_eq!(compactor, (Some(0), String::new()));
    let all = said("tidelog", &["config", "check"], folder.path(), toml, &[]);
    assert_eq!(all.0, Some(1));
}

#[test]
fn every_service_starts_with_the_defaults_as_far_as_the_check_can_tell() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "good.toml", &format!("[schema]\nfile = \"{SCHEMA}\"\n"));
    assert_eq!(
        said("tidelog", &["config", "check", &path], folder.path(), "", &[]),
        (Some(0), String::new())
    );
}
