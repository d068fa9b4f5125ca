//! The running stack as a simulation's server: what phones ask goes over HTTP, as theirs would, and the answers tell the
//! simulated time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Url};
use sqlx::PgPool;
use tidelog_archive::{Archive, History};
use tidelog_client::transport::{Answer, HttpTransport, PullRequest, Request, Transport, Unreachable};
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database::{self, DatabaseConfig};
use tidelog_simulation::{Cut, Disturbance, LogEvent, QuarantinedAt, ReadModel, Server};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::cut;
use super::live::StackLive;
use super::pace::Pace;
use super::simulated_time::told_at;
use super::waiting::{PushFate, Waiting, in_the_broker};
use crate::local::Deadline;
use crate::stack_file::StackFile;
use crate::token::{Access, Claims};

/// A token holds longer than any simulation takes.
const TOKEN_HOURS: u64 = 48;
/// No answer of a stack on this machine takes longer, unless something of it was killed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// What the gateway's `Retry-After` asks for: a broker that has just started may still read its streams.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(1);
/// What ended is started again by then.
const PATIENCE: Duration = Duration::from_mins(2);

/// The stack, as all simulated phones share it.
pub(super) struct Stack {
    pub(super) gateway: Url,
    pub(super) http: Client,
    pub(super) transport: HttpTransport,
    pub(super) pool: PgPool,
    /// What was pruned, too.
    pub(super) history: History,
    pub(super) schema: Arc<Schema>,
    /// May read every space.
    pub(super) reader_token: String,
    pub(super) waiting: Waiting,
    pub(super) pace: Pace,
    jwt_secret: String,
    operations_urls: Vec<String>,
    runtime: Handle,
}

/// Why the stack cannot be looked at, or what it shows differently in two places.
#[derive(Debug)]
pub(super) struct StackError(anyhow::Error);

impl std::fmt::Display for StackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for StackError {}

impl Stack {
    /// The stack that `file` describes; it must judge events by `schema`.
    pub(super) fn new(file: &StackFile, schema: &Arc<Schema>, pace: Pace) -> Result<Self> {
        let text = std::fs::read_to_string(&file.schema_file);
        let text = text.with_context(|| format!("cannot read {}", file.schema_file))?;
        ensure!(
            Schema::parse(&text)?.id() == schema.id(),
            "the stack runs with another schema than the example app's: start one with config/fitness.yaml"
        );
        // The keys of an archive in S3 are this process's own.
        let mut sources = Sources::from_process();
        sources.environment.insert("TIDELOG__DATABASE__URL".to_owned(), file.database_url.clone());
        sources.environment.insert("TIDELOG__ARCHIVE__URL".to_owned(), file.archive_url.clone());
        let config = Config::load(&sources)?;
        let database: DatabaseConfig = config.section("database")?;
        let pool = database::connect(&database, "tidelog-simulate")?;
        let archive = Archive::open(&config.section("archive")?)?;
        let reader = Claims::new("simulation", TOKEN_HOURS).with_space("*", Access::R);
        Ok(Self {
            gateway: Url::parse(&file.gateway_url)?,
            http: Client::builder().timeout(REQUEST_TIMEOUT).build()?,
            transport: HttpTransport::new(&file.gateway_url)?.request_timeout(REQUEST_TIMEOUT),
            history: History::new(pool.clone(), archive),
            pool,
            schema: Arc::clone(schema),
            reader_token: reader.sign(&file.jwt_secret)?,
            waiting: Waiting::default(),
            pace,
            jwt_secret: file.jwt_secret.clone(),
            operations_urls: file.operations_urls.values().cloned().collect(),
            runtime: Handle::current(),
        })
    }

    /// Waits until every service says that it is ready, or patience ends.
    async fn until_well(&self) {
        let deadline = Deadline::after(PATIENCE, "recovery");
        while !self.is_well().await && deadline.next_look().await.is_ok() {}
    }

    async fn is_well(&self) -> bool {
        for url in &self.operations_urls {
            let answer = self.http.get(format!("{url}/readyz")).send().await;
            if !answer.is_ok_and(|answer| answer.status().is_success()) {
                return false;
            }
        }
        true
    }

    /// Asks again and again until there is an answer, or patience ends.
    pub(super) async fn patiently<T>(&self, what: &str, ask: impl AsyncFn() -> Result<T>) -> Result<T> {
        let deadline = Deadline::after(PATIENCE, what);
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => deadline.next_look().await.map_err(|late| error.context(late.to_string()))?,
            }
        }
    }

    pub(super) fn token(&self, user: &UserId) -> Result<String, Unreachable> {
        let token = Claims::new(user.as_str(), TOKEN_HOURS).sign(&self.jwt_secret);
        token.map_err(|error| Unreachable::broken(error.to_string()))
    }

    /// Simulated time does not wait for real processes; so this does.
    pub(super) async fn after_trouble(&self) {
        sleep(PAUSE_AFTER_TROUBLE).await;
        self.until_well().await;
    }

    async fn answer(
        &self,
        user: &UserId,
        request: &Request,
        now: UtcTime,
        cut: Option<Cut>,
    ) -> Result<Answer, Unreachable> {
        self.pace.keep(request.space(), now).await;
        let token = self.token(user)?;
        match cut {
            None => self.act(request, &token, now).await,
            Some(Cut::Before) => Err(Unreachable::broken("cut off on the way there")),
            Some(Cut::During) => {
                let sent = self.transport.send(request, &token);
                cut::halfway(&self.gateway, request, &token, sent).await;
                Err(Unreachable::broken("cut off halfway"))
            }
            Some(Cut::After) => {
                let _ = self.act(request, &token, now).await;
                Err(Unreachable::broken("cut off on the way back"))
            }
        }
    }

    /// Lets the stack act on a request that gets there, unless something else awaits it.
    async fn act(&self, request: &Request, token: &str, now: UtcTime) -> Result<Answer, Unreachable> {
        if let Some(refusal) = self.waiting.refusal(request.space()) {
            return Ok(refusal);
        }
        let is_push = matches!(request, Request::Push(_));
        let fate = if is_push { self.waiting.push_fate(request.space()) } else { None };
        if fate == Some(PushFate::Lost) {
            return Ok(in_the_broker(now));
        }
        let answer = self.transport.send(request, token).await;
        if is_trouble(&answer) {
            self.after_trouble().await;
        }
        let is_committed = matches!(&answer, Ok(Answer::Pushed(_)));
        if fate.is_some() && is_committed {
            Ok(in_the_broker(now))
        } else {
            answer.map(|answer| told_at(answer, now))
        }
    }
}

impl Server for Stack {
    type Error = StackError;
    type Live = StackLive;

    fn send(
        &self,
        user: &UserId,
        request: &Request,
        now_ms: i64,
        cut: Option<Cut>,
    ) -> Result<Answer, Unreachable> {
        self.runtime.block_on(self.answer(user, request, UtcTime(now_ms), cut))
    }

    fn connect(
        &self,
        user: &UserId,
        request: &PullRequest,
        now_ms: i64,
        cut: Option<Cut>,
    ) -> Result<(Answer, Option<StackLive>), Unreachable> {
        self.runtime.block_on(self.live_pull(user, request, UtcTime(now_ms), cut))
    }

    fn follow(&self, live: &mut StackLive, wanted: Position, _now_ms: i64) -> Result<String, Unreachable> {
        self.runtime.block_on(live.news(wanted))
    }

    fn log(&self, space: &SpaceId) -> Result<Vec<LogEvent>, StackError> {
        self.runtime.block_on(self.whole_log(space)).map_err(StackError)
    }

    fn quarantined(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        through: Sequence,
    ) -> Result<Vec<QuarantinedAt>, StackError> {
        self.runtime.block_on(self.quarantined_events(space, device, through)).map_err(StackError)
    }

    fn read_model(&self, space: &SpaceId, head: Position) -> Result<ReadModel, StackError> {
        self.runtime.block_on(self.whole_read_model(space, head)).map_err(StackError)
    }

    fn disturb(&self, space: &SpaceId, disturbance: Disturbance) -> bool {
        self.waiting.expect(space, disturbance)
    }
}

/// Whether something of the stack does not work just now.
pub(super) fn is_trouble(answer: &Result<Answer, Unreachable>) -> bool {
    match answer {
        Err(_) => true,
        Ok(Answer::Pushed(pushed)) => !pushed.committed,
        Ok(Answer::Refused(refused)) => refused.status == 429 || refused.status >= 500,
        Ok(Answer::Pulled(_) | Answer::OwnEvents(_)) => false,
    }
}
