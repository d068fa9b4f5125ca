//! What each user of the broker must not do: refused by the server, with the authorization file that is shipped.

use std::sync::{Arc, Mutex};

use async_nats::jetstream::{self, consumer::PullConsumer};
use async_nats::{Client, ConnectOptions, Event, ServerError};
use futures_util::StreamExt;
use tidelog_tests::{Batch, WorldOptions, eventually};

use super::servers::{Authority, Nats, Servers, nats_folder, password, toolbox};

/// A connection of a user, and what the server refused it.
struct User {
    client: Client,
    refused: Arc<Mutex<Vec<String>>>,
}

impl User {
    async fn connect(nats: &Nats, authority: &Authority, user: &str) -> Self {
        let refused = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&refused);
        let own = authority.issue(user, user, &[]);
        let options = ConnectOptions::new()
            .add_root_certificates(authority.certificate.clone())
            .add_client_certificate(own.certificate, own.key)
            .user_and_password(user.to_owned(), password(user))
            .custom_inbox_prefix(format!("_INBOX_{user}"))
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(error)) = event {
                    noted.lock().unwrap().push(error);
                }
                std::future::ready(())
            });
        let client = options
            .connect(nats.url(user))
            .await
            .unwrap_or_else(|error| panic!("{user}: {error}, {}", nats.words()));
        Self { client, refused }
    }

    /// Waits until the server has said that it refuses this.
    async fn is_refused(&self, what: &str, subject: &str) {
        let said = format!("permissions violation for {what} to \"{}\"", subject.to_lowercase());
        eventually(&format!("{what} to {subject} is refused"), async || {
            let refused = self.refused.lock().unwrap();
            refused.iter().any(|error| error.to_lowercase().contains(&said)).then_some(())
        })
        .await;
    }

    async fn cannot_publish(&self, subject: &str) {
        self.client.publish(subject.to_owned(), "x".into()).await.unwrap();
        self.is_refused("publish", subject).await;
    }

    async fn cannot_subscribe(&self, subject: &str) {
        let _subscription = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.is_refused("subscription", subject).await;
    }
}

/// Of no service: whoever can do one of these destroys the broker's copies, or reroutes them.
const FOR_PEOPLE: [&str; 8] = [
    "$JS.API.STREAM.DELETE.PUSH",
    "$JS.API.STREAM.DELETE.LOG",
    "$JS.API.STREAM.PURGE.LOG",
    "$JS.API.STREAM.MSG.DELETE.PUSH",
    "$JS.API.CONSUMER.DELETE.PUSH.ingest",
    "$JS.API.STREAM.CREATE.OTHER",
    "$JS.API.CONSUMER.CREATE.PUSH.other",
    "$JS.API.STREAM.SNAPSHOT.LOG",
];

/// (user, subjects it must not publish to, subjects it must not hear).
const FORBIDDEN: [(&str, &[&str], &[&str]); 4] = [
    (
        "gateway",
        &[
            "tidelog.log.1",
            "tidelog.receipts.other",
            "tidelog.profiles",
            "$JS.API.CONSUMER.MSG.NEXT.PUSH.ingest",
            "$JS.ACK.PUSH.ingest.1.1.1.1.0",
            "$JS.API.STREAM.PURGE.PUSH",
            "$JS.API.STREAM.UPDATE.PUSH",
            "_INBOX_ingest.x",
        ],
        &["tidelog.push.*", "tidelog.>", "_INBOX_ingest.>", "_INBOX.>", ">"],
    ),
    (
        "ingest",
        &["tidelog.push.1", "$JS.API.STREAM.UPDATE.PUSH", "$JS.API.CONSUMER.MSG.NEXT.LOG.projector"],
        &["tidelog.push.*", "tidelog.receipts.*", "_INBOX_gateway.>"],
    ),
    (
        "projector",
        &[
            "tidelog.push.1",
            "tidelog.log.1",
            "tidelog.receipts.other",
            "tidelog.head.1",
            "$JS.API.STREAM.PURGE.PUSH",
            "$JS.API.STREAM.CREATE.PUSH",
            "$JS.API.CONSUMER.MSG.NEXT.PUSH.ingest",
        ],
        &["tidelog.push.*", "tidelog.log.*", "tidelog.devices", "_INBOX_gateway.>"],
    ),
    (
        "migrate",
        &["tidelog.push.1", "$JS.API.STREAM.PURGE.PUSH", "$JS.API.CONSUMER.MSG.NEXT.PUSH.ingest"],
        &["tidelog.log.*", "_INBOX_gateway.>"],
    ),
];

/// The permissions that docs/log-consumer.md tells to give.
fn documented_reader() -> String {
    let page = include_str!("../../../docs/log-consumer.md");
    let block = page.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    block.replace("$NATS_NOTIFICATIONS_PASSWORD", "ofnotifications0")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_user_of_the_broker_can_do_what_is_not_its_own() {
    let servers = Servers::start().await;
    let user = async |name: &str| User::connect(&servers.nats, &servers.authority, name).await;
    let people = user("operator").await;
    let world: WorldOptions<'_> = servers.world();
    let world =
        world.set("broker.push_max_bytes", 1 << 20).set("broker.log_max_bytes", 1 << 20).start().await;
    world.push_until_committed("ann", &Batch::new("phone-1", 1, 3)).await.expect(200);
    let streams = jetstream::new(people.client.clone());
    let stored = async |stream: &str| streams.get_stream(stream).await.unwrap().cached_info().state.messages;
    eventually("both streams hold something", async || {
        (stored("PUSH").await > 0 && stored("LOG").await > 0).then_some(())
    })
    .await;
    world.stop();
    for (name, publishing, hearing) in FORBIDDEN {
        let user = user(name).await;
        for subject in publishing.iter().chain(&FOR_PEOPLE) {
            user.cannot_publish(subject).await;
        }
        for subject in hearing {
            user.cannot_subscribe(subject).await;
        }
    }
    for stream in ["PUSH", "LOG"] {
        assert!(stored(stream).await > 0, "{stream} is there as it was");
        let purged = streams.get_stream(stream).await.unwrap().purge().await.unwrap().purged;
        assert!(purged > 0, "people may");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_log_with_the_documented_permissions_reads_log_and_can_do_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let nats = Nats::start(&toolbox(), folder.path(), &authority, &[&documented_reader()]).await;
    let operator = User::connect(&nats, &authority, "operator").await;
    let streams = jetstream::new(operator.client.clone());
    let log = jetstream::stream::Config {
        name: "LOG".to_owned(),
        subjects: vec!["tidelog.log.*".to_owned()],
        ..Default::default()
    };
    let log = streams.create_stream(log).await.unwrap();
    let durable = jetstream::consumer::pull::Config {
        durable_name: Some("notifications".to_owned()),
        ..Default::default()
    };
    log.create_consumer(durable).await.unwrap();
    streams.publish("tidelog.log.7", "a segment".into()).await.unwrap().await.unwrap();

    let reader = User::connect(&nats, &authority, "notifications").await;
    let consumer: PullConsumer =
        jetstream::new(reader.client.clone()).get_consumer_from_stream("notifications", "LOG").await.unwrap();
    let message = consumer.messages().await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(&message.payload[..], b"a segment");
    message.double_ack().await.unwrap();
    assert!(reader.refused.lock().unwrap().is_empty());

    for subject in
        ["tidelog.push.1", "tidelog.log.1", "tidelog.receipts.g", "$JS.API.CONSUMER.MSG.NEXT.LOG.projector"]
            .iter()
            .chain(&FOR_PEOPLE)
    {
        reader.cannot_publish(subject).await;
    }
    for subject in ["tidelog.push.*", "tidelog.log.*", "_INBOX.>", "_INBOX_gateway.>"] {
        reader.cannot_subscribe(subject).await;
    }
}

/// What kind of fault the shipped files have, by nats-server's own judgement, with TLS switched on.
#[test]
fn nats_server_accepts_the_shipped_files() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    authority.issue("tls", "nats", &["nats"]);
    for file in ["nats.conf", "tls.conf", "authorization.conf"] {
        let text = std::fs::read_to_string(nats_folder().join(file)).unwrap();
        let text = text.replace("# include ./tls.conf", "include ./tls.conf");
        let text = text.replace("/etc/nats-tls", folder.path().to_str().unwrap());
        assert_eq!(
            text.matches("\n  include ./tls.conf").count() + text.matches("\ninclude ./tls.conf").count(),
            if file == "nats.conf" { 2 } else { 0 }
        );
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let mut check = std::process::Command::new(toolbox().nats_server());
    check.arg("-t").arg("-c").arg(folder.path().join("nats.conf")).env("POD_NAME", "nats-0");
    for user in ["GATEWAY", "INGEST", "PROJECTOR", "MIGRATE", "SYSTEM", "ROUTES"] {
        check.env(format!("NATS_{user}_PASSWORD"), "secret");
    }
    for server in 0..3 {
        check.env(
            format!("NATS_ROUTE_{server}"),
            format!("nats://routes:secret@nats-{server}.nats-headless:6222"),
        );
    }
    let output = check.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
