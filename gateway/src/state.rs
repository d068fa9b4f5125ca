//! What handlers draw on, each by its own type: a handler's signature says what it uses.

use std::sync::Arc;

use axum::extract::FromRef;
use sqlx::PgPool;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::config::LimitsConfig;

use crate::codecs::Codecs;
use crate::config::GatewayConfig;
use crate::devices::ArchiveReads;
use crate::entities::WaitingReads;
use crate::pull::Waiting;
use crate::push::Pushes;
use crate::schema::CurrentSchema;
use crate::token::Verifier;

/// Everything.
#[derive(Clone, FromRef)]
pub struct AppState {
    /// The log, to read.
    pub pool: PgPool,
    /// The archive.
    pub archive: ArchiveReads,
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
    /// zstd contexts.
    pub codecs: Codecs,
    /// Pushes that wait for their receipts.
    pub pushes: Pushes,
    /// Pulls that wait for news.
    pub waiting: Waiting,
    /// Reads that wait for the projector.
    pub waiting_reads: WaitingReads,
}
