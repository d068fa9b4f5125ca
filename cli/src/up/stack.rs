//! Puts a stack together: servers, database, tables, streams, services.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tidelog_archive::ArchiveConfig;
use tidelog_runtime::config::{Config, SchemaConfig, Sources};

use super::child::Child;
use super::folder::Folder;
use super::gateways::{self, Urls};
use super::kept::Kept;
use super::one_address::lifted_limits;
use super::pair::Pair;
use super::servers::Servers;
use super::service::{Service, program};
use crate::local::{Given, root};
use crate::migrate;
use crate::stack_file::StackFile;
use crate::terminal::say;
use crate::token::{Access, Claims};

const DEMO_USER: &str = "user-1";
const TOKEN_HOURS: u64 = 30 * 24;
/// The front door looks every 100 ms, and phones that push all the time come within a second and are sent away.
const DRAIN_DELAY: Duration = Duration::from_millis(1200);

/// A stack that runs: its children in the order in which they are stopped.
pub(super) struct Stack {
    pub(super) file: StackFile,
    pub(super) children: Vec<Child>,
    /// Stopped last.
    pub(super) pair: Option<Pair>,
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
        folder.expect_kind(replicas.is_cluster)?;
        let servers = if replicas.is_cluster {
            Servers::start_cluster(folder, &given, &mut kept).await?
        } else {
            Servers::start(folder, given, &mut kept).await?
        };
        sources.environment.extend(servers.environment(&kept.jwt_secret));
        if replicas.is_cluster {
            servers.until_streams(&sources).await?;
        }
        set_drain_delay(&mut sources, replicas.gateways)?;
        say("tidelog", "bringing tables and streams to this version");
        migrate::run(&sources).await?;

        let (mut services, urls, doors) =
            gateways::describe(replicas.gateways, &mut kept, |kept, number| {
                replica(folder, &sources, kept, &programs.gateway, "gateway", number)
            })?;
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
        doors.open(&services).await?;

        let mut file = describe(urls, &servers, &sources, &services)?;
        let mut children: Vec<_> = services.into_iter().map(Child::Service).collect();
        children.extend(servers.nats.into_iter().map(Child::Nats));
        children.extend(servers.postgres.map(Child::Postgres));
        let mut pair = servers.pair;
        let pids = children.iter_mut().map(|child| (child.role().to_owned(), child.id())).collect::<Vec<_>>();
        for (role, pid) in pids.into_iter().chain(pair.iter_mut().flat_map(Pair::pids)) {
            file.pids.extend(pid.map(|pid| (role, pid)));
        }
        Ok(Self { file, children, pair })
    }
}

/// How many there are of each service, and whether there are several of each server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replicas {
    pub(super) is_cluster: bool,
    pub(super) gateways: u16,
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

/// How long a stopping gateway goes on, unless the caller has said so.
fn set_drain_delay(sources: &mut Sources, gateways: u16) -> Result<()> {
    if Config::load(sources)?.is_default("gateway.drain_delay_ms") {
        // Without a front door nobody has to notice anything, and who presses Ctrl-C waits.
        let delay = if gateways > 1 { DRAIN_DELAY } else { Duration::ZERO };
        let variable = "TIDELOG__GATEWAY__DRAIN_DELAY_MS".to_owned();
        sources.environment.insert(variable, delay.as_millis().to_string());
    }
    Ok(())
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
