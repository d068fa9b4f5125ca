//! What handlers draw on, each by its own type: a handler's signature says what it uses.

use std::sync::Arc;

use axum::extract::FromRef;
use sqlx::PgPool;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::LimitsConfig;

use crate::admin::{HistoryReads, Measured};
use crate::codecs::Codecs;
use crate::config::{AdminConfig, GatewayConfig};
use crate::devices::ArchiveReads;
use crate::entities::WaitingReads;
use crate::gate::Gate;
use crate::live::Live;
use crate::pull::{AnswerBudget, Waiting};
use crate::push::Push;
use crate::revocations::Revocations;
use crate::schema::CurrentSchema;
use crate::token::Verifier;

/// Everything.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// The log, to read.
    pub pool: PgPool,
    /// The archive.
    pub archive: ArchiveReads,
    /// Histories.
    pub histories: HistoryReads,
    /// The broker.
    pub broker: Broker,
    /// Tokens.
    pub verifier: Verifier,
    /// What time it is.
    pub clock: Clock,
    /// The schema.
    pub schema: CurrentSchema,
    /// The limits.
    pub limits: Arc<LimitsConfig>,
    /// The section `[gateway]`.
    pub config: Arc<GatewayConfig>,
    /// What every request passes.
    pub gate: Gate,
    /// Bytes of pull answers.
    pub answers: AnswerBudget,
    /// The section `[admin]`.
    pub admin: Arc<AdminConfig>,
    /// How much passes through the pipeline.
    pub measured: Measured,
    /// zstd contexts.
    pub codecs: Codecs,
    /// What pushes draw on.
    pub push: Push,
    /// Live connections.
    pub(crate) live: Arc<Live>,
    /// Which devices are revoked.
    pub revocations: Revocations,
    /// Pulls that wait for news.
    pub waiting: Waiting,
    /// Reads that wait for the projector.
    pub waiting_reads: WaitingReads,
}
