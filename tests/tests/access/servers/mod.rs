//! Servers as docs/operations/hardening.md wants them: NATS with exactly the shipped users, PostgreSQL with the shipped roles,
//! both with TLS.

mod authority;
mod nats;
mod postgres;

use std::path::PathBuf;

use tempfile::TempDir;
use tidelog_cli::local::{Given, Toolbox};
use tidelog_tests::WorldOptions;

pub use authority::Authority;
pub use nats::{Nats, nats_folder, password};
pub use postgres::{Database, SERVICES};

/// The name by which the servers are known, and which stands in their certificates.
pub const HOST: &str = "localhost";

/// A NATS and a PostgreSQL, and the authority that signed their certificates.
pub struct Servers {
    pub nats: Nats,
    pub database: Database,
    pub authority: Authority,
    _folder: TempDir,
}

impl Servers {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "authority");
        let toolbox = toolbox();
        let (nats, database) = tokio::join!(
            Nats::start(&toolbox, folder.path(), &authority, &[]),
            Database::start(&toolbox, folder.path(), &authority),
        );
        Self { nats, database, authority, _folder: folder }
    }

    /// A world in which each service has its own user, its own role, and a certificate. The world itself looks at both
    /// servers as people do.
    pub fn world(&self) -> WorldOptions<'static> {
        let file = |path: &PathBuf| path.display().to_string();
        let own = self.authority.issue("services", "tidelog_ingest", &[]);
        let options = WorldOptions::default()
            .projectors(1)
            .set("broker.subject_prefix", "tidelog")
            .set("broker.stream_prefix", "")
            .set("broker.url", self.nats.url("operator"))
            .set("broker.tls_ca_file", file(&self.authority.certificate))
            .set("broker.tls_certificate_file", file(&own.certificate))
            .set("broker.tls_key_file", file(&own.key))
            .set("database.url", self.database.owner_url());
        SERVICES.into_iter().fold(options, |options, service| {
            let options =
                options.set_for(service, "database.url", self.database.url(service, &self.authority));
            // The compactor has no use for the broker.
            if service == "compactor" {
                options
            } else {
                options.set_for(service, "broker.url", self.nats.url(service))
            }
        })
    }
}

pub fn toolbox() -> Toolbox {
    Toolbox::fetch_with_tls(&Given::from_environment(), |line| println!("{line}")).unwrap()
}
