//! The services of a world: those that it begins with, and those that a test starts later.

use std::net::SocketAddr;

use tidelog_compactor::{Compactor, Deps, Swept};
use tidelog_runtime::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::configs::Configs;
use crate::replica::Replica;
use crate::world::World;
use crate::{compactor, gateway, ingest, projector};

/// How many replicas a world begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replicas {
    pub(crate) ingests: usize,
    pub(crate) projectors: usize,
    pub(crate) compactors: usize,
}

impl Replicas {
    /// Starts them; they stop with `shutdown`.
    pub(crate) fn start(
        self,
        configs: &Configs,
        clock: &Clock,
        shutdown: &CancellationToken,
    ) -> Vec<Replica> {
        let stop = || shutdown.child_token();
        let ingests = (0..self.ingests).map(|_| ingest::start(configs.of("ingest"), clock.clone(), stop()));
        let projectors = (0..self.projectors).map(|_| projector::start(configs.of("projector"), stop()));
        let compactors =
            (0..self.compactors).map(|_| compactor::start(configs.of("compactor"), clock.clone(), stop()));
        ingests.chain(projectors).chain(compactors).collect()
    }
}

impl World {
    /// Starts another ingest, which shares the consumer with the others.
    pub fn start_ingest(&self) -> Replica {
        ingest::start(self.configs.of("ingest"), self.clock.clone(), self.shutdown.child_token())
    }

    /// Starts another projector, which shares the consumer with the others.
    pub fn start_projector(&self) -> Replica {
        projector::start(self.configs.of("projector"), self.shutdown.child_token())
    }

    /// Starts another compactor.
    pub fn start_compactor(&self) -> Replica {
        compactor::start(self.configs.of("compactor"), self.clock.clone(), self.shutdown.child_token())
    }

    /// A compactor of this process for single runs, with what `change` makes of what it works with.
    ///
    /// # Panics
    /// When its configuration cannot be used.
    pub fn compactor(&self, change: impl FnOnce(&mut Deps)) -> Compactor {
        compactor::single(
            self.configs.of("compactor"),
            self.clock.clone(),
            self.shutdown.child_token(),
            change,
        )
    }

    /// Has a compactor of this process work through all spaces once, by the world's clock, and says what it did.
    ///
    /// # Panics
    /// When the database is away.
    pub async fn compact(&self) -> Swept {
        compactor::sweep(self.configs.of("compactor"), self.clock.clone()).await
    }

    /// Starts another gateway and returns its address.
    pub async fn start_gateway(&self) -> SocketAddr {
        gateway::start(self.configs.of("gateway"), self.clock.clone(), self.shutdown.child_token())
            .await
            .public
    }
}
