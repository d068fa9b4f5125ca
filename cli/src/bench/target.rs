//! The stack that is measured: where it is, how to get in, and its processes.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use sqlx::PgPool;
use tidelog_events::id::{DeviceId, SpaceId};
use tidelog_runtime::broker::{Broker, BrokerConfig};
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database::{self, DatabaseConfig};

use super::connection::Connection;
use super::phone::{Encoders, Phone};
use super::workout::Recorder;
use crate::stack_file::StackFile;
use crate::token::{Access, Claims};

/// A token holds longer than any bench takes.
const TOKEN_HOURS: u64 = 48;

/// What is measured.
pub(super) struct Target {
    pub(super) gateway_url: String,
    jwt_secret: String,
    /// Process ids by role.
    pub(super) pids: BTreeMap<String, u32>,
    pub(super) pool: PgPool,
    pub(super) broker: Broker,
}

impl Target {
    /// The stack that `stack` describes, of which `sources` name the database and the broker.
    pub(super) async fn new(stack: &StackFile, sources: &Sources) -> Result<Self> {
        let config = Config::load(sources)?;
        let database: DatabaseConfig = config.section("database")?;
        let broker: BrokerConfig = config.section("broker")?;
        Ok(Self {
            gateway_url: stack.gateway_url.clone(),
            jwt_secret: stack.jwt_secret.clone(),
            pids: stack.pids.clone(),
            pool: database::connect(&database, "tidelog-bench")?,
            broker: Broker::connect(&broker, "tidelog-bench").await?,
        })
    }

    /// Process ids of every replica of a service.
    pub(super) fn replicas<'a>(&'a self, service: &'a str) -> impl Iterator<Item = u32> + 'a {
        let is_replica = move |role: &str| {
            role.strip_prefix(service).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        self.pids.iter().filter(move |(role, _)| is_replica(role)).map(|(_, pid)| *pid)
    }

    /// A connection of a user who may read and write this space.
    pub(super) async fn connection(&self, user: &str, space: &SpaceId) -> Result<Connection> {
        Connection::new(&self.gateway_url, &self.token(user, space)?).await
    }

    /// A connection that may read every space.
    pub(super) async fn reader(&self) -> Result<Connection> {
        let claims = Claims::new("bench-reader", TOKEN_HOURS).with_space("*", Access::R);
        Connection::new(&self.gateway_url, &claims.sign(&self.jwt_secret)?).await
    }

    /// A phone of the user `name` that pushes to `space`.
    pub(super) async fn phone(
        &self,
        name: &str,
        space: &SpaceId,
        batch: u32,
        encoders: &Encoders,
    ) -> Result<Phone> {
        self.phone_with(Recorder::new(fastrand::u64(..)), name, space, batch, encoders).await
    }

    /// The same with a recorder of its own.
    pub(super) async fn phone_with(
        &self,
        recorder: Recorder,
        name: &str,
        space: &SpaceId,
        batch: u32,
        encoders: &Encoders,
    ) -> Result<Phone> {
        let device = DeviceId::new(name).context("the phone's name is no id")?;
        let connection = self.connection(name, space).await?;
        Ok(Phone::new(space, device, recorder, batch, connection, encoders.clone()))
    }

    /// A token of a user who may read and write this space.
    pub(super) fn token(&self, user: &str, space: &SpaceId) -> Result<String> {
        Claims::new(user, TOKEN_HOURS).with_space(space.as_str(), Access::Rw).sign(&self.jwt_secret)
    }
}
