//! Makes what handlers draw on, and starts what runs beside them: everything that is shared by requests is made here, once.

use std::sync::Arc;

use tidelog_archive::History;
use tokio_util::sync::CancellationToken;

use crate::codecs::Codecs;
use crate::devices::ArchiveReads;
use crate::entities::WaitingReads;
use crate::gate::Gate;
use crate::live::Live;
use crate::news::Newsroom;
use crate::push::{Push, Pushes};
use crate::rates::Rates;
use crate::revocations::Revocations;
use crate::schema::CurrentSchema;
use crate::server::Stop;
use crate::state::AppState;
use crate::{Deps, admin, pull};

/// Makes it. What runs beside requests ends with `stopped`, what waits for news as `stop` says.
pub(crate) async fn assemble(deps: Deps, stopped: &CancellationToken, stop: &Stop) -> AppState {
    let Deps { pool, archive, broker, schema, limits, config, verifier, clock, .. } = deps;
    let (limits, config, codecs) = (Arc::new(limits), Arc::new(config), Codecs::default());
    let (schema, newsroom) = (CurrentSchema(schema), Newsroom::new(broker.clone()));
    // Receipts are listened for until the last push is answered.
    let pushes = Pushes::new(&broker, &config);
    pushes.listen(&broker, stopped.clone()).await;
    tokio::spawn(verifier.clone().follow(stopped.clone()));
    let revocations = Revocations::new(pool.clone(), &config);
    let push = Push {
        schema: schema.clone(),
        limits: limits.clone(),
        config: config.clone(),
        codecs: codecs.clone(),
        broker: broker.clone(),
        pushes,
        revocations: revocations.clone(),
        clock: clock.clone(),
    };
    let rates = Rates::new(&deps.rates);
    let live = Live::start(
        pool.clone(),
        newsroom.clone(),
        push.clone(),
        rates.clone(),
        deps.live,
        stop.leaving.clone(),
    );
    let ends_live = live.clone();
    revocations.listen(&broker, stopped.clone(), move |user, device| ends_live.device_changed(user, device));
    let measured = admin::Measured::default();
    let sampled = admin::Sampled {
        pool: pool.clone(),
        broker: broker.clone(),
        clock: clock.clone(),
        retention: deps.retention,
        every: deps.admin.sample_interval(),
    };
    tokio::spawn(admin::sample(sampled, measured.clone(), stopped.clone()));
    tokio::spawn(admin::forget(pool.clone(), clock.clone(), deps.admin.audit_days, stopped.clone()));
    let archive = ArchiveReads::new(History::new(pool.clone(), archive), config.archive_reads);
    AppState {
        gate: Gate { server: Arc::new(deps.server), rates },
        answers: pull::AnswerBudget::new(config.answer_bytes),
        waiting: pull::Waiting::new(newsroom, pool.clone(), config.waiting_pulls, stop.leaving.clone()),
        waiting_reads: WaitingReads::new(pool.clone(), &config, stop.closing.clone()),
        histories: admin::HistoryReads::new(archive.clone(), deps.admin.history_reads),
        admin: Arc::new(deps.admin),
        archive,
        pool,
        broker,
        verifier,
        clock,
        schema,
        limits,
        config,
        codecs,
        push,
        live,
        measured,
        revocations,
    }
}
