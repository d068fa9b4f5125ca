//! The servers of a stack: this machine's own if the environment names them, else ours; for a cluster several of each.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tidelog_runtime::broker::{Broker, BrokerConfig};
use tidelog_runtime::config::{Config, Sources};

use super::door::DatabaseDoor;
use super::folder::Folder;
use super::kept::Kept;
use super::pair::Pair;
use crate::local::{Deadline, Durability, Given, NatsPeers, NatsServer, PairMember, Postgres, Toolbox};
use crate::terminal::say;

const DATABASE: &str = "tidelog";
/// How long three NATS nodes may take to elect a leader and to place the streams.
const CLUSTER_PATIENCE: Duration = Duration::from_mins(1);

/// What the services of a cluster are told, unless whoever starts it has set that.
const CLUSTER_SETTINGS: &[(&str, &str)] =
    &[("TIDELOG__BROKER__REPLICAS", "3"), ("TIDELOG__DATABASE__SYNCHRONOUS_FAILOVER", "true")];

/// NATS and PostgreSQL, ours unless given.
#[derive(Default)]
pub(super) struct Servers {
    /// One, or the nodes of a cluster.
    pub(super) nats: Vec<NatsServer>,
    pub(super) postgres: Option<Postgres>,
    pub(super) pair: Option<Pair>,
    /// All of them, comma-separated.
    pub(super) nats_url: String,
    /// Over TCP, for people.
    pub(super) database_url: String,
    /// For the services.
    service_database_url: String,
    /// What else the services are told.
    settings: &'static [(&'static str, &'static str)],
}

impl Servers {
    pub(super) async fn start(folder: &Folder, given: Given, kept: &mut Kept) -> Result<Self> {
        let mut servers = Self {
            nats_url: given.nats_url.clone().unwrap_or_default(),
            database_url: given.database_url.clone().unwrap_or_default(),
            service_database_url: given.database_url.clone().unwrap_or_default(),
            ..Self::default()
        };
        if given.nats_url.is_some() && given.database_url.is_some() {
            say("tidelog", "using the NATS and PostgreSQL that the environment names");
            return Ok(servers);
        }
        let toolbox = Toolbox::fetch(&given, |line| say("tidelog", line))?;
        if given.nats_url.is_none() {
            say("nats", "starting");
            let (home, log) = (folder.path().join("nats"), folder.log("nats"));
            let server = NatsServer::start(&toolbox, &home, &log, kept.port("nats")?).await?;
            servers.nats_url = server.url();
            servers.nats.push(server);
        }
        if given.database_url.is_none() {
            say("postgres", "starting");
            let (home, log) = (folder.path().join("postgres"), folder.log("postgres"));
            let port = kept.port("postgres")?;
            let server = Postgres::start(&toolbox, &home, &log, port, Durability::Synced).await?;
            server.create_database(DATABASE).await?;
            servers.database_url = server.url(DATABASE);
            servers.service_database_url = server.socket_url(DATABASE);
            servers.postgres = Some(server);
        }
        Ok(servers)
    }

    /// Three NATS and a pair of PostgreSQL, all of them ours.
    pub(super) async fn start_cluster(folder: &Folder, given: &Given, kept: &mut Kept) -> Result<Self> {
        ensure!(
            given.nats_url.is_none() && given.database_url.is_none(),
            "a cluster has servers of its own: start it without TIDELOG_NATS_URL and TIDELOG_DATABASE_URL"
        );
        let toolbox = Toolbox::fetch(given, |line| say("tidelog", line))?;
        fs::create_dir_all(folder.cluster())?;
        say("nats", "starting three nodes");
        say("postgres", "starting the primary and its standby");
        let nodes = nats_nodes(folder, kept)?;
        let starting = nodes.iter().map(async |(peers, port, log)| {
            let home = folder.cluster().join(&peers.name);
            NatsServer::start_node(&toolbox, &home, log, *port, peers.clone()).await
        });
        let members = pair_members(&toolbox, folder, kept)?;
        let door_port = kept.port("database")?;
        let door = DatabaseDoor::open(door_port).await?;
        let cluster = folder.cluster();
        let (nats, pair) =
            tokio::try_join!(try_join_all(starting), Pair::start(&cluster, members, door, DATABASE))?;
        let database_url = format!("postgresql://tidelog@127.0.0.1:{door_port}/{DATABASE}");
        Ok(Self {
            nats_url: nats.iter().map(NatsServer::url).collect::<Vec<_>>().join(","),
            nats,
            postgres: None,
            pair: Some(pair),
            service_database_url: database_url.clone(),
            database_url,
            settings: CLUSTER_SETTINGS,
        })
    }

    /// Waits until the nodes have found each other and taken the streams.
    pub(super) async fn until_streams(&self, sources: &Sources) -> Result<()> {
        let broker: BrokerConfig = Config::load(sources)?.section("broker")?;
        let broker = Broker::connect(&broker, "tidelog-up").await?;
        let deadline = Deadline::after(CLUSTER_PATIENCE, "the NATS nodes becoming a cluster");
        while let Err(error) = broker.ensure_streams().await {
            deadline.next_look().await.context(error)?;
        }
        Ok(())
    }

    /// What the services are told.
    pub(super) fn environment(&self, jwt_secret: &str) -> BTreeMap<String, String> {
        // What the caller says about the secret holds; the servers are the ones that we started or were given.
        let secret = caller("TIDELOG__AUTH__HS256_SECRET").unwrap_or_else(|| jwt_secret.to_owned());
        let mut environment = BTreeMap::from([
            ("TIDELOG__AUTH__HS256_SECRET".to_owned(), secret),
            ("TIDELOG__BROKER__URL".to_owned(), self.nats_url.clone()),
            ("TIDELOG__DATABASE__URL".to_owned(), self.service_database_url.clone()),
        ]);
        for (variable, value) in self.settings {
            let value = caller(variable).unwrap_or_else(|| (*value).to_owned());
            environment.insert((*variable).to_owned(), value);
        }
        environment
    }
}

/// Each node with its port and its log.
fn nats_nodes(folder: &Folder, kept: &mut Kept) -> Result<Vec<(NatsPeers, u16, PathBuf)>> {
    let names = ["nats-1", "nats-2", "nats-3"];
    let routes = names.map(|name| kept.port(&format!("{name}-route")));
    let routes = routes.into_iter().collect::<Result<Vec<_>>>()?;
    let peers = names.iter().zip(&routes).map(|(name, &route_port)| NatsPeers {
        name: (*name).to_owned(),
        route_port,
        routes: routes.clone(),
    });
    peers.map(|peers| Ok((peers.clone(), kept.port(&peers.name)?, folder.log(&peers.name)))).collect()
}

fn pair_members(toolbox: &Toolbox, folder: &Folder, kept: &mut Kept) -> Result<[Postgres; 2]> {
    let names = ["postgres", "postgres-2"];
    let ports = [kept.port(names[0])?, kept.port(names[1])?];
    let member = |number: usize| {
        let (name, other_port) = (names[number].to_owned(), ports[1 - number]);
        let (home, log) = (folder.cluster().join(&name), folder.log(&name));
        let member = PairMember { name, other_port };
        Postgres::member(toolbox, &home, &log, ports[number], Durability::Synced, member)
    };
    Ok([member(0)?, member(1)?])
}

/// What the environment of this process says.
pub(super) fn caller(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}
