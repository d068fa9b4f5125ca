//! Puts a stack together: servers, database, tables, streams, services.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tidelog_archive::ArchiveConfig;
use tidelog_runtime::config::{Config, SchemaConfig, Sources};

use super::child::Child;
use super::folder::Folder;
use super::kept::Kept;
use super::one_address::lifted_limits;
use super::service::{Service, program};
use crate::local::{Durability, Given, NatsServer, Postgres, Toolbox, root};
use crate::migrate;
use crate::stack_file::StackFile;
use crate::terminal::say;
use crate::token::{Access, Claims};

const DATABASE: &str = "tidelog";
const DEMO_USER: &str = "user-1";
const TOKEN_HOURS: u64 = 30 * 24;

/// A stack that runs: its children in the order in which they are stopped.
pub(super) struct Stack {
    pub(super) file: StackFile,
    pub(super) children: Vec<Child>,
}

impl Stack {
    /// Starts everything and returns when every service is ready.
    pub(super) async fn start(
        folder: &Folder,
        given: Given,
        config: Option<&Path>,
        replicas: Replicas,
    ) -> Result<Self> {
        let programs = Programs::find()?;
        let mut sources = common_sources(config)?;
        let mut kept = Kept::read(folder.path());
        let servers = Servers::start(folder, given, &mut kept).await?;
        sources.environment.extend(servers.environment(&kept.jwt_secret));
        say("tidelog", "bringing tables and streams to this version");
        migrate::run(&sources).await?;

        let (gateway, urls) = gateway_service(folder, &sources, &mut kept, programs.gateway)?;
        let mut services = vec![gateway];
        let numbered = [
            ("ingest", programs.ingest, replicas.ingests),
            ("projector", programs.projector, replicas.projectors),
            ("compactor", programs.compactor, replicas.compactors),
        ];
        for (name, program, count) in numbered {
            for number in 1..=count {
                services.push(replica(folder, &sources, &mut kept, &program, name, number)?);
            }
        }
        kept.write()?;
        say("tidelog", "starting the services");
        try_join_all(services.iter_mut().map(Service::start)).await?;

        let mut file = describe(urls, &servers, &sources, &services)?;
        let mut children: Vec<_> = services.into_iter().map(Child::Service).collect();
        children.extend(servers.nats.map(Child::Nats));
        children.extend(servers.postgres.map(Child::Postgres));
        for child in &mut children {
            if let Some(pid) = child.id() {
                file.pids.insert(child.role().to_owned(), pid);
            }
        }
        Ok(Self { file, children })
    }
}

/// How many replicas of each service that may have several.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replicas {
    pub(super) ingests: u16,
    pub(super) projectors: u16,
    pub(super) compactors: u16,
}

struct Programs {
    gateway: PathBuf,
    ingest: PathBuf,
    projector: PathBuf,
    compactor: PathBuf,
}

impl Programs {
    fn find() -> Result<Self> {
        Ok(Self {
            gateway: program("tidelog-gateway")?,
            ingest: program("tidelog-ingest")?,
            projector: program("tidelog-projector")?,
            compactor: program("tidelog-compactor")?,
        })
    }
}

/// NATS and PostgreSQL, ours unless given.
struct Servers {
    nats: Option<NatsServer>,
    postgres: Option<Postgres>,
    nats_url: String,
    /// Over TCP, for people.
    database_url: String,
    /// For the services.
    service_database_url: String,
}

impl Servers {
    async fn start(folder: &Folder, given: Given, kept: &mut Kept) -> Result<Self> {
        let mut servers = Self {
            nats: None,
            postgres: None,
            nats_url: given.nats_url.clone().unwrap_or_default(),
            database_url: given.database_url.clone().unwrap_or_default(),
            service_database_url: given.database_url.clone().unwrap_or_default(),
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
            servers.nats = Some(server);
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

    fn environment(&self, jwt_secret: &str) -> BTreeMap<String, String> {
        // What the caller says about the secret holds; the servers are the ones that we started or were given.
        let secret = caller("TIDELOG__AUTH__HS256_SECRET").unwrap_or_else(|| jwt_secret.to_owned());
        BTreeMap::from([
            ("TIDELOG__AUTH__HS256_SECRET".to_owned(), secret),
            ("TIDELOG__BROKER__URL".to_owned(), self.nats_url.clone()),
            ("TIDELOG__DATABASE__URL".to_owned(), self.service_database_url.clone()),
        ])
    }
}

fn caller(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// The caller's configuration, with file names that hold wherever a service looks for them.
fn common_sources(config: Option<&Path>) -> Result<Sources> {
    let mut sources = Sources::from_process();
    if let Some(file) = config {
        let file = file.canonicalize().with_context(|| format!("cannot find {}", file.display()))?;
        sources.file = Some(file);
    }
    let config = Config::load(&sources)?;
    let archive: ArchiveConfig = config.section("archive")?;
    if !archive.url.contains("://") {
        let folder = root().join(&archive.url);
        sources.environment.insert("TIDELOG__ARCHIVE__URL".to_owned(), folder.display().to_string());
    }
    let lifted = lifted_limits(&sources)?;
    sources.environment.extend(lifted);
    let schema: SchemaConfig = config.section("schema")?;
    if !schema.file.exists() {
        let in_root = root().join(&schema.file);
        ensure!(
            in_root.exists(),
            "there is no schema file {}: name your app's in TIDELOG__SCHEMA__FILE",
            schema.file.display()
        );
        sources.environment.insert("TIDELOG__SCHEMA__FILE".to_owned(), in_root.display().to_string());
    }
    Ok(sources)
}

fn gateway_service(
    folder: &Folder,
    sources: &Sources,
    kept: &mut Kept,
    program: PathBuf,
) -> Result<(Service, Urls)> {
    let mut service =
        new_service(folder, sources, kept, program, "gateway", "TIDELOG__GATEWAY__OPERATIONS_LISTEN")?;
    let mut listen = |variable: &str, port: &str| {
        let address = match caller(variable) {
            Some(address) => address,
            None => format!("127.0.0.1:{}", kept.port(port)?),
        };
        service.environment.insert(variable.to_owned(), address.clone());
        anyhow::Ok(format!("http://{}", address.replace("0.0.0.0", "127.0.0.1")))
    };
    let public = listen("TIDELOG__GATEWAY__LISTEN", "gateway")?;
    let admin = listen("TIDELOG__ADMIN__LISTEN", "admin")?;
    // Without an address of its own it is where the public API is.
    let admin = if admin == "http://" { public.clone() } else { admin };
    Ok((service, Urls { public, admin }))
}

/// Where the gateway is reached.
struct Urls {
    public: String,
    admin: String,
}

/// The first replica has the service's name as its role, the others a number behind it.
fn replica(
    folder: &Folder,
    sources: &Sources,
    kept: &mut Kept,
    program: &Path,
    name: &str,
    number: u16,
) -> Result<Service> {
    let role = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
    let variable = format!("TIDELOG__{}__OPERATIONS_LISTEN", name.to_uppercase());
    new_service(folder, sources, kept, program.to_owned(), &role, &variable)
}

fn new_service(
    folder: &Folder,
    sources: &Sources,
    kept: &mut Kept,
    program: PathBuf,
    role: &str,
    operations_variable: &str,
) -> Result<Service> {
    let operations = format!("127.0.0.1:{}", kept.port(&format!("{role}-operations"))?);
    let mut environment = sources.environment.clone();
    environment.insert(operations_variable.to_owned(), operations.clone());
    if let Some(file) = &sources.file {
        environment.insert("TIDELOG_CONFIG".to_owned(), file.display().to_string());
    }
    Ok(Service {
        role: role.to_owned(),
        program,
        environment,
        operations_url: format!("http://{operations}"),
        log: folder.log(role),
        process: None,
    })
}

fn describe(gateway: Urls, servers: &Servers, sources: &Sources, services: &[Service]) -> Result<StackFile> {
    let jwt_secret = sources.environment.get("TIDELOG__AUTH__HS256_SECRET").cloned().unwrap_or_default();
    let demo = Claims::new(DEMO_USER, TOKEN_HOURS).with_space(DEMO_USER, Access::Rw);
    let admin = Claims::new("admin", TOKEN_HOURS).with_admin();
    let operations = services.iter().map(|service| (service.role.clone(), service.operations_url.clone()));
    let config = Config::load(sources)?;
    let schema: SchemaConfig = config.section("schema")?;
    Ok(StackFile {
        schema_file: schema.file.canonicalize()?.display().to_string(),
        admin_url: gateway.admin,
        gateway_url: gateway.public,
        operations_urls: operations.collect(),
        nats_url: servers.nats_url.clone(),
        database_url: servers.database_url.clone(),
        archive_url: config.section::<ArchiveConfig>("archive")?.url,
        token: demo.sign(&jwt_secret)?,
        admin_token: admin.sign(&jwt_secret)?,
        jwt_secret,
        pids: BTreeMap::new(),
    })
}
