//! Syncs by the syncer, with answers written by hand.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tempfile::TempDir;
use tidelog_client::store::StoreConfig;
use tidelog_client::sync::{SyncFailure, SyncOptions};
use tidelog_client::transport::{Answer, Request, Unreachable};
use tidelog_client::{Clock, Identity, NewEvent, Store, Syncer, SystemClock, Transport};
use tidelog_events::code::Refusal;
use tidelog_events::id::{EventId, UserId};
use tidelog_events::schema::Schema;
use uuid::Uuid;

use super::answers::{Pulled, refused};
use super::device::{SCHEMA, ann, id};

const EVENTS: u64 = 101;

/// A server that has other events under the numbers of the first device that asks, and has the time to look for 60 of
/// them at once. It notes for how many it is asked.
#[derive(Clone, Default)]
struct Busy {
    asked_for: Arc<Mutex<Vec<u64>>>,
}

impl Transport for Busy {
    async fn send(&self, request: &Request, _token: &str) -> Result<Answer, Unreachable> {
        let mut asked_for = self.asked_for.lock().unwrap();
        match request {
            Request::Pull(_) if asked_for.is_empty() => {
                let stranger = EventId(Uuid::from_u128(99));
                Ok(Answer::Pulled(Pulled::at(SystemClock.now().wall_ms).mark(EVENTS, stranger).lines()))
            }
            Request::OwnEvents(own) => {
                let sequences = own.to.0 + 1 - own.from.0;
                asked_for.push(sequences);
                let is_too_much = sequences > 60;
                Ok(if is_too_much {
                    Answer::Refused(refused(Refusal::Overloaded))
                } else {
                    Answer::OwnEvents(Vec::new())
                })
            }
            _ => Err(Unreachable::broken("the fork is settled")),
        }
    }
}

#[tokio::test]
async fn a_server_without_the_time_for_a_question_is_asked_less_the_next_time() {
    let folder = TempDir::new().unwrap();
    let identity = Identity::load_or_create(&folder.path().join("identity.json")).unwrap();
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
    let file = folder.path().join("ann.sqlite");
    let config = StoreConfig::new(file, UserId::new("ann").unwrap(), schema, &identity);
    let store = Store::open(config).await.unwrap();
    for _ in 0..EVENTS {
        let event = NewEvent::new("LAP_RECORDED", id("w-1"), json!({"laps": 1}));
        store.record(&ann(), event).await.unwrap();
    }
    let server = Busy::default();
    let tokens = |_| async { Ok("token".to_owned()) };
    let syncer = Syncer::start(store, server.clone(), tokens, SyncOptions::default());
    // The syncer may have begun by itself, so it is not said how many of the attempts are these.
    let mut failure = syncer.sync_space_now(&ann()).await;
    for _ in 0..3 {
        if matches!(failure, Err(SyncFailure::Unreachable(_))) {
            break;
        }
        failure = syncer.sync_space_now(&ann()).await;
    }
    assert!(matches!(failure, Err(SyncFailure::Unreachable(_))), "{failure:?}");
    assert_eq!(*server.asked_for.lock().unwrap(), [101, 50, 50, 1]);
}
