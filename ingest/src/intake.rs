//! Takes batches from the broker, a bounded number ahead of the worker.

use std::ops::ControlFlow;

use tidelog_runtime::broker::{Delivery, Fed};
use tokio::sync::mpsc;

use crate::room::{Held, Room};

/// Passes them to the worker as soon as there is room for them.
pub(crate) struct Intake {
    pub(crate) room: Room,
    pub(crate) batches: mpsc::Sender<Held>,
}

impl Fed for Intake {
    async fn take(&self, delivery: Delivery) -> ControlFlow<()> {
        let Some(held) = self.room.hold(delivery).await else { return ControlFlow::Break(()) };
        // The worker is gone.
        if self.batches.send(held).await.is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
