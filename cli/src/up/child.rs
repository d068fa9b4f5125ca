//! A child of the stack, whichever it is: what supervision does with it.

use anyhow::Result;

use super::service::Service;
use crate::local::{NatsServer, Postgres, Process};

/// NATS, PostgreSQL or a service.
#[derive(Debug)]
pub(super) enum Child {
    Nats(NatsServer),
    Postgres(Postgres),
    Service(Service),
}

impl Child {
    pub(super) fn role(&self) -> &str {
        match self {
            Self::Nats(server) => server.name(),
            Self::Postgres(server) => server.name(),
            Self::Service(service) => &service.role,
        }
    }

    /// Its process id; none while it does not run.
    pub(super) fn id(&mut self) -> Option<u32> {
        self.process().map(|process| process.id())
    }

    /// Why it does not run, if it does not.
    pub(super) fn ended(&mut self) -> Option<String> {
        match self.process().map(Process::exited) {
            Some(Ok(None)) => None,
            Some(Ok(Some(status))) => Some(status.to_string()),
            Some(Err(error)) => Some(error.to_string()),
            None => Some("not started".to_owned()),
        }
    }

    /// The last lines of its log.
    pub(super) fn last_words(&mut self) -> String {
        self.process().map(|process| process.last_words()).unwrap_or_default()
    }

    /// Starts it again with the same port and data.
    pub(super) async fn restart(&mut self) -> Result<()> {
        match self {
            Self::Nats(server) => server.restart().await,
            Self::Postgres(server) => server.restart().await,
            Self::Service(service) => service.start().await,
        }
    }

    /// Stops it in good order.
    pub(super) async fn stop(&mut self) -> Result<()> {
        match self {
            Self::Nats(server) => server.stop().await,
            Self::Postgres(server) => server.stop().await,
            Self::Service(service) => service.stop().await,
        }
    }

    fn process(&mut self) -> Option<&mut Process> {
        match self {
            Self::Nats(server) => server.process(),
            Self::Postgres(server) => server.process(),
            Self::Service(service) => service.process.as_mut(),
        }
    }
}
