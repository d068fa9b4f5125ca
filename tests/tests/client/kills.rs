//! A process that records and syncs is killed again and again: every event whose recording was acknowledged is in the
//! log in the end, once.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tidelog_client::store::StoreConfig;
use tidelog_client::sync::{NoToken, SyncOptions};
use tidelog_client::{HttpTransport, Identity, Store, Syncer};
use tidelog_events::id::UserId;
use tidelog_events::schema::Schema;
use tidelog_tests::{World, token};

use super::phone::{lap, space};

const KILLS: u32 = 20;
/// Where the child records, and the gateway that it syncs with.
const FOLDER: &str = "TIDELOG_TEST_FOLDER";
const GATEWAY: &str = "TIDELOG_TEST_GATEWAY";
/// Begins a line of the child's that tells an event id whose recording was acknowledged.
const RECORDED: &str = "recorded ";

async fn open(folder: &Path, gateway: &str) -> (Store, Syncer) {
    let identity = Identity::load_or_create(&folder.join("identity.json")).unwrap();
    let schema = Schema::parse(&std::fs::read_to_string(folder.join("schema.yaml")).unwrap()).unwrap();
    let path = folder.join("store.sqlite");
    let config = StoreConfig::new(path, UserId::new("ann").unwrap(), schema.into(), &identity);
    let store = Store::open(config).await.unwrap();
    let transport = HttpTransport::new(gateway).unwrap();
    let tokens = |_| async { Ok::<_, NoToken>(token("ann")) };
    let syncer = Syncer::start(store.clone(), transport, tokens, SyncOptions::default());
    (store, syncer)
}

/// Records and syncs until it is killed. Only what is printed was acknowledged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the test below runs it as a process of its own"]
async fn a_child_that_records_and_syncs() {
    let (folder, gateway) = (std::env::var(FOLDER).unwrap(), std::env::var(GATEWAY).unwrap());
    let (store, syncer) = open(folder.as_ref(), &gateway).await;
    let recording = async {
        loop {
            let recorded = store.record(&space("ann"), lap("w-1")).await.unwrap();
            let mut out = std::io::stdout().lock();
            writeln!(out, "{RECORDED}{}", recorded.event_id).unwrap();
            out.flush().unwrap();
        }
    };
    let syncing = async {
        loop {
            syncer.sync_now().await;
        }
    };
    tokio::join!(recording, syncing);
}

/// Runs the child and kills it after so many acknowledgements; gives all that it has made.
fn run_and_kill(folder: &Path, gateway: &str, after: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "client::kills::a_child_that_records_and_syncs", "--nocapture"])
        .env(FOLDER, folder)
        .env(GATEWAY, gateway)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut recorded: Vec<String> = Vec::new();
    let mut killed = false;
    // What it printed before it died, it had acknowledged before. The last line may be cut short.
    for line in lines {
        if let Some(id) = line.split_once(RECORDED).map(|(_, id)| id).filter(|id| id.len() == 36) {
            recorded.push(id.to_owned());
        }
        if recorded.len() >= after && !killed {
            // SIGKILL, on unix.
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "it ended by itself after {recorded:?}");
    recorded
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_any_kill_and_is_in_the_log_once() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(&world.schema_file, folder.path().join("schema.yaml")).unwrap();
    let gateway = format!("http://{}", world.address);
    let mut random = fastrand::Rng::with_seed(20);
    let mut acknowledged = BTreeSet::new();
    for _ in 0..KILLS {
        let after = random.usize(1..120);
        let (folder, gateway) = (folder.path().to_owned(), gateway.clone());
        let ran = tokio::task::spawn_blocking(move || run_and_kill(&folder, &gateway, after)).await.unwrap();
        acknowledged.extend(ran);
    }
    let pushed_by_children = world.head("ann").await;
    assert!(pushed_by_children > 100, "the children have synced, too: {pushed_by_children}");
    let (store, syncer) = open(folder.path(), &gateway).await;
    let report = syncer.sync_now().await;
    assert!(report.is_synced() && report.pending() == 0, "{report:?}");

    let log = world.whole_log("ann").await;
    let ids: BTreeSet<String> =
        log.iter().map(|event| event["eventId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), log.len(), "no event is there twice");
    assert!(acknowledged.is_subset(&ids), "lost: {:?}", acknowledged.difference(&ids).collect::<Vec<_>>());
    let devices: BTreeSet<&str> = log.iter().map(|event| event["deviceId"].as_str().unwrap()).collect();
    assert_eq!(devices.len(), 1, "a killed device is no fork");
    let workout = store.entities(&space("ann"), tidelog_client::store::Query::all("workout")).await.unwrap();
    assert!(workout.is_empty(), "it was never created");
    syncer.close().await;
}
