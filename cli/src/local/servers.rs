//! The pair of servers that everything else needs: this machine's own if the environment names them, else ours.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use reqwest::Url;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::given::Given;
use super::nats::NatsServer;
use super::postgres::{Durability, Postgres};
use super::toolbox::Toolbox;

/// A NATS and a PostgreSQL. Ours are killed when this is dropped.
#[derive(Debug)]
pub struct Servers {
    given: Given,
    /// Our NATS; none if one was given.
    pub nats: Option<NatsServer>,
    /// Our PostgreSQL; none if one was given.
    pub postgres: Option<Postgres>,
}

impl Servers {
    /// Starts what is not given, on free ports, with data and logs in `folder`. `say` gets lines for people.
    pub async fn start(
        given: Given,
        folder: &Path,
        durability: Durability,
        say: impl Fn(&str),
    ) -> Result<Self> {
        let (mut nats, mut postgres) = (None, None);
        if given.nats_url.is_none() || given.database_url.is_none() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            let toolbox = Toolbox::fetch(&given, say)?;
            if given.nats_url.is_none() {
                let (home, log) = (folder.join("nats"), folder.join("nats.log"));
                nats = Some(NatsServer::start(&toolbox, &home, &log, 0).await?);
            }
            if given.database_url.is_none() {
                let (home, log) = (folder.join("postgres"), folder.join("postgres.log"));
                postgres = Some(Postgres::start(&toolbox, &home, &log, 0, durability).await?);
            }
        }
        Ok(Self { given, nats, postgres })
    }

    /// Where NATS is.
    pub fn nats_url(&self) -> String {
        match &self.nats {
            Some(server) => server.url(),
            None => self.given.nats_url.clone().unwrap_or_default(),
        }
    }

    /// Where `database` is: over the unix socket if PostgreSQL is ours.
    pub fn database_url(&self, database: &str) -> Result<String> {
        match &self.postgres {
            Some(server) => Ok(server.socket_url(database)),
            None => url_with_database(self.given.database_url.as_deref().unwrap_or_default(), database),
        }
    }

    /// Creates `database` beside the others, unless it exists.
    pub async fn create_database(&self, database: &str) -> Result<()> {
        let base = match &self.postgres {
            Some(server) => server.socket_url("postgres"),
            None => self.given.database_url.clone().unwrap_or_default(),
        };
        create_database(&base, database).await
    }
}

/// `url` with another database's name in it.
pub fn url_with_database(url: &str, database: &str) -> Result<String> {
    let mut parsed = Url::parse(url).context(
        "TIDELOG_DATABASE_URL is not a PostgreSQL address such as postgresql://user@host:5432/tidelog",
    )?;
    parsed.set_path(database);
    Ok(parsed.into())
}

/// Creates `database` over a connection to any other database of the same server, unless it exists.
pub async fn create_database(url: &str, database: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await.context("cannot connect to PostgreSQL")?;
    let exists = sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(&mut connection)
        .await?;
    if !exists {
        let name = database.replace('"', "\"\"");
        // A name cannot be bound; as a quoted identifier it is nothing but a name.
        let statement = format!("CREATE DATABASE \"{name}\"");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .with_context(|| format!("cannot create the database {database}"))?;
    }
    connection.close().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_the_same_server_has_the_same_address_otherwise() {
        let tcp = url_with_database("postgresql://me:secret@db:5433/tidelog", "other").unwrap();
        assert_eq!(tcp, "postgresql://me:secret@db:5433/other");
        let socket = url_with_database("postgresql://me@localhost/a?host=/run/pg", "b").unwrap();
        assert_eq!(socket, "postgresql://me@localhost/b?host=/run/pg");
    }
}
