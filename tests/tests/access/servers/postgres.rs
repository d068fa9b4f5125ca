//! A PostgreSQL with TLS and the shipped roles, in which the tables belong to the role that migrates.

use std::fs;
use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tidelog_cli::local::{Durability, Postgres, Toolbox};
use tidelog_runtime::config::{Config, Sources};
use tidelog_runtime::database;
use tidelog_tests::eventually;

use super::{Authority, HOST};

/// The services, each with a role of its own.
pub const SERVICES: [&str; 4] = ["gateway", "ingest", "projector", "compactor"];

/// Roles come in with TLS only: ingest by its certificate, the others by their passwords.
const ADMISSION: &str = "local all all trust
host all tidelog 127.0.0.1/32 trust
hostssl all tidelog_ingest 127.0.0.1/32 cert
hostssl all all 127.0.0.1/32 scram-sha-256
";

const DATABASE: &str = "hardened";

pub struct Database {
    server: Postgres,
    log: PathBuf,
}

impl Database {
    pub async fn start(toolbox: &Toolbox, folder: &Path, authority: &Authority) -> Self {
        let (home, log) = (folder.join("postgres"), folder.join("postgres.log"));
        let server = Postgres::start(toolbox, &home, &log, 0, Durability::Unsynced).await.unwrap();
        server.create_database(DATABASE).await.unwrap();
        let started = Self { server, log };
        started.speak_tls(authority).await;
        started.run(include_str!("../../../../deploy/postgres/roles.sql")).await;
        for role in SERVICES.into_iter().chain(["migrate"]) {
            started.run(&format!("ALTER ROLE tidelog_{role} PASSWORD 'of{role}0'")).await;
        }
        let migrating = Self::connect(&started.url("migrate", authority), "migrate");
        tidelog_store::Tables::of_this_release().expand(&migrating).await.unwrap();
        sqlx::raw_sql(include_str!("../../../../deploy/postgres/grants.sql"))
            .execute(&migrating)
            .await
            .unwrap();
        migrating.close().await;
        started
    }

    async fn speak_tls(&self, authority: &Authority) {
        let pair = authority.issue("postgres", "postgres", &[HOST]);
        let hba: String = self.scalar("SHOW hba_file").await;
        fs::write(hba, ADMISSION).unwrap();
        for (setting, path) in [
            ("ssl_cert_file", &pair.certificate),
            ("ssl_key_file", &pair.key),
            ("ssl_ca_file", &authority.certificate),
        ] {
            self.run(&format!("ALTER SYSTEM SET {setting} = '{}'", path.display())).await;
        }
        self.run("ALTER SYSTEM SET ssl = on").await;
        self.run("SELECT pg_reload_conf()").await;
        eventually("TLS is on", async || {
            let on: String = self.scalar("SHOW ssl").await;
            (on == "on").then_some(())
        })
        .await;
    }

    /// Where people come in who own everything.
    pub fn owner_url(&self) -> String {
        self.server.socket_url(DATABASE)
    }

    /// Where a role comes in, over TCP, by a name that stands in the certificate.
    pub fn url(&self, role: &str, authority: &Authority) -> String {
        let own = if role == "ingest" {
            let pair = authority.issue("ingest", "tidelog_ingest", &[]);
            format!("&sslcert={}&sslkey={}", pair.certificate.display(), pair.key.display())
        } else {
            String::new()
        };
        let authority = authority.certificate.display();
        self.url_with(role, HOST, &format!("sslmode=verify-full&sslrootcert={authority}{own}"))
    }

    /// The same with another host and other parameters.
    pub fn url_with(&self, role: &str, host: &str, parameters: &str) -> String {
        let port = self.server.port();
        format!("postgresql://tidelog_{role}:of{role}0@{host}:{port}/{DATABASE}?{parameters}")
    }

    /// A pool as the services have it.
    pub fn connect(url: &str, name: &str) -> sqlx::PgPool {
        let environment = [("TIDELOG__DATABASE__URL".to_owned(), url.to_owned())];
        let config = Config::load(&Sources { file: None, environment: environment.into() }).unwrap();
        database::connect(&config.section("database").unwrap(), name).unwrap()
    }

    /// What it has logged.
    pub fn words(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    async fn owner(&self) -> PgConnection {
        PgConnection::connect(&self.owner_url()).await.unwrap()
    }

    pub async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.owner().await).await.unwrap();
    }

    async fn scalar(&self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(&mut self.owner().await).await.unwrap()
    }
}
