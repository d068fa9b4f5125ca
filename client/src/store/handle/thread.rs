//! The thread that a store's file belongs to.

use std::thread;

use tidelog_events::id::SpaceId;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::store::{Changed, Closed, EventStore, OpenError, StoreError};

/// Calls that wait for the thread; a caller beyond that waits for room.
const CALLS: usize = 64;
/// Changes that a subscriber may be behind; one that is further behind is told so.
const CHANGES: usize = 1024;

/// What the thread is asked.
pub(super) enum Call {
    Work(Box<dyn FnOnce(&mut EventStore) + Send>),
    Close(oneshot::Sender<()>),
}

/// A thread with an open store.
pub(super) struct Running {
    pub(super) calls: mpsc::Sender<Call>,
    pub(super) changes: broadcast::WeakSender<Changed>,
    pub(super) recorded: broadcast::WeakSender<SpaceId>,
}

/// Opens a store on a thread of its own.
pub(super) async fn start(
    open: impl FnOnce() -> Result<EventStore, OpenError> + Send + 'static,
) -> Result<Running, OpenError> {
    let (calls, called) = mpsc::channel(CALLS);
    let (opened, opening) = oneshot::channel();
    let run = move || match open() {
        Ok(store) => {
            let (changes, recorded) = (broadcast::Sender::new(CHANGES), broadcast::Sender::new(CHANGES));
            let running = Running { calls, changes: changes.downgrade(), recorded: recorded.downgrade() };
            if opened.send(Ok(running)).is_ok() {
                serve(store, called, &changes);
            }
        }
        Err(error) => drop(opened.send(Err(error))),
    };
    if let Err(error) = thread::Builder::new().name("tidelog-store".to_owned()).spawn(run) {
        tracing::error!(%error, "the system gives no thread to the store");
    }
    opening.await.map_err(|_| StoreError::Closed(Closed))?
}

/// Ends with the last handle, or when it is asked to close.
fn serve(mut store: EventStore, mut called: mpsc::Receiver<Call>, changes: &broadcast::Sender<Changed>) {
    let mut closing = None;
    while let Some(call) = called.blocking_recv() {
        match call {
            Call::Work(work) => work(&mut store),
            Call::Close(done) => {
                closing = Some(done);
                break;
            }
        }
        for change in store.take_changes() {
            // An error says that nobody has subscribed.
            let _ = changes.send(change);
        }
    }
    // The file is closed before anybody learns that it is.
    drop(store);
    drop(called);
    if let Some(done) = closing {
        // An error says that the caller has stopped waiting.
        let _ = done.send(());
    }
}
