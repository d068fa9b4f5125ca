//! One phone: its files, its network, and its user.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tidelog_client::store::{Operator, Query, StoreConfig};
use tidelog_client::sync::{NoToken, SyncOptions};
use tidelog_client::{HttpTransport, Identity, Store, Syncer};
use tidelog_events::id::{SpaceId, UserId};
use tidelog_events::schema::Schema;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::user;
use crate::stack_file::StackFile;
use crate::terminal::{say, warn};
use crate::token::Claims;

const TOKEN_HOURS: u64 = 24;
/// A user does something this often.
const PAUSE_MS: std::ops::Range<u64> = 800..4000;
/// After so many things done the network goes, or comes back.
const UNTIL_NETWORK_CHANGES: std::ops::Range<u32> = 4..16;

/// A phone that is in use.
pub(super) struct Phone {
    name: String,
    space: SpaceId,
    store: Store,
    syncer: Syncer,
    online: bool,
    random: fastrand::Rng,
}

impl Phone {
    /// Opens its store, which it may have from an earlier run.
    pub(super) async fn start(
        name: String,
        user: &str,
        folder: &Path,
        stack: &StackFile,
        schema: Arc<Schema>,
    ) -> Result<Self> {
        let identity = Identity::load_or_create(&folder.join(format!("{name}.identity.json")))?;
        let file = folder.join(format!("{name}.sqlite"));
        let config = StoreConfig::new(&file, UserId::new(user)?, schema, &identity);
        let store = Store::open(config).await.with_context(|| format!("cannot open {}", file.display()))?;
        let (subject, secret) = (user.to_owned(), stack.jwt_secret.clone());
        let tokens = move |_| {
            let token = Claims::new(subject.clone(), TOKEN_HOURS).sign(&secret);
            async move { token.map_err(|error| NoToken(format!("{error:#}"))) }
        };
        let transport = HttpTransport::new(&stack.gateway_url)?;
        let syncer = Syncer::start(store.clone(), transport, tokens, SyncOptions::default());
        let (space, random) = (SpaceId::new(user)?, fastrand::Rng::new());
        Ok(Self { name, space, store, syncer, online: true, random })
    }

    /// Is used until `stop`, and closed then.
    pub(super) async fn live(mut self, stop: CancellationToken) {
        let used = stop.run_until_cancelled(self.be_used()).await;
        if let Some(Err(error)) = used {
            warn(&self.name, &format!("is used no more: {error:#}"));
        }
        self.syncer.close().await;
        self.store.close().await;
    }

    /// Ends only by an error.
    async fn be_used(&mut self) -> Result<()> {
        loop {
            for _ in 0..self.random.u32(UNTIL_NETWORK_CHANGES) {
                sleep(Duration::from_millis(self.random.u64(PAUSE_MS))).await;
                self.do_something().await?;
            }
            self.change_network().await?;
        }
    }

    async fn do_something(&mut self) -> Result<()> {
        let under_way = Query::all(user::WORKOUT).having("completed", Operator::Ne, true);
        let workouts = self.store.entities(&self.space, under_way).await?;
        let event = user::next_event(&workouts, &mut self.random)?;
        self.store.record(&self.space, event).await?;
        Ok(())
    }

    async fn change_network(&mut self) -> Result<()> {
        self.online = !self.online;
        let pending = self.store.status(&self.space).await?.pending;
        if self.online {
            say(&self.name, &format!("online again, with {pending} events to sync"));
        } else {
            say(&self.name, "offline");
        }
        self.syncer.set_connectivity(self.online);
        Ok(())
    }
}
