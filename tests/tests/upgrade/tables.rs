//! Tables are expanded under whoever works with them, and contracted when nobody needs what goes.

use sqlx::migrate::{Migration, MigrationType};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};
use tidelog_store::tables::{Misfit, Tables, TablesError};
use tidelog_tests::eventually;

use super::installation::{Installation, Release};

/// This release's tables and what a later one changes, each with a name and a statement.
async fn later(changes: &[(&str, &str)]) -> Tables {
    let this = Release::This.tables().await;
    let mut migrations = this.migrations().to_vec();
    for (number, (name, statement)) in (this.number() + 1..).zip(changes) {
        let without_transaction = statement.contains("CONCURRENTLY");
        let statement = AssertSqlSafe((*statement).to_owned()).into_sql_str();
        let name = (*name).to_owned().into();
        migrations.push(Migration::new(number, name, MigrationType::Simple, statement, without_transaction));
    }
    Tables::new(migrations)
}

async fn fit(tables: &Tables, installation: &Installation) -> Result<(), Misfit> {
    tables.fit(&mut installation.pool.acquire().await.unwrap()).await.unwrap()
}

/// A connection as a service of that name has it.
async fn connected_as(name: &str, installation: &Installation) -> PgConnection {
    let options = (*installation.pool.connect_options()).clone().application_name(name);
    PgConnection::connect_with(&options).await.unwrap()
}

async fn insert_space(space: &str, installation: &Installation) {
    let insert = sqlx::query("INSERT INTO spaces (space_id, epoch) VALUES ($1, gen_random_uuid())");
    insert.bind(space).execute(&installation.pool).await.unwrap();
}

const MORE: (&str, &str) = ("more of spaces", "ALTER TABLE spaces ADD COLUMN colour text");
const LESS: (&str, &str) = ("contract spaces", "ALTER TABLE spaces DROP COLUMN colour");

#[tokio::test]
async fn what_the_release_before_has_applied_is_never_changed() {
    let (previous, this) = (Release::Previous.tables().await, Release::This.tables().await);
    assert!(!previous.migrations().is_empty());
    for released in previous.migrations() {
        let now = this.migrations().iter().find(|migration| migration.version == released.version);
        assert_eq!(now.map(|now| &now.checksum), Some(&released.checksum), "{}", released.description);
    }
}

#[tokio::test]
async fn tables_are_made_once_however_many_migrate_at_once() {
    let installation = Installation::new().await;
    let tables = Release::This.tables().await;
    assert_eq!(fit(&tables, &installation).await, Err(Misfit::Empty));
    let (first, second, third) = tokio::join!(
        tables.expand(&installation.pool),
        tables.expand(&installation.pool),
        tables.expand(&installation.pool)
    );
    for applied in [first, second, third] {
        assert_eq!(applied.unwrap().last(), Some(&tables.number()));
    }
    assert_eq!(fit(&tables, &installation).await, Ok(()));
    assert!(tables.expand(&installation.pool).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_release_works_with_the_tables_of_the_next_and_not_with_those_of_the_one_before() {
    let installation = Installation::new().await;
    let (this, next) = (Release::This.tables().await, later(&[MORE]).await);
    this.expand(&installation.pool).await.unwrap();
    assert_eq!(fit(&next, &installation).await, Err(Misfit::Behind { lacks: next.number() }));
    next.expand(&installation.pool).await.unwrap();
    assert_eq!(fit(&this, &installation).await, Ok(()));
    assert_eq!(fit(&next, &installation).await, Ok(()));
    assert!(this.expand(&installation.pool).await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_is_taken_away_while_a_service_needs_it() {
    let installation = Installation::new().await;
    let (this, next) = (later(&[MORE]).await, later(&[MORE, LESS]).await);
    next.expand(&installation.pool).await.unwrap();
    assert_eq!(fit(&this, &installation).await, Ok(()));

    for old in [this.application_name("tidelog-gateway"), "tidelog-ingest".to_owned()] {
        let service = connected_as(&old, &installation).await;
        let refused = next.contract(&installation.pool).await.unwrap_err();
        assert!(
            matches!(&refused, TablesError::OldServices { services } if services.contains(&old)),
            "{refused}"
        );
        service.close().await.unwrap();
    }
    let _same = connected_as(&next.application_name("tidelog-gateway"), &installation).await;
    let _other = connected_as("tidelog-bench", &installation).await;
    let contracted =
        eventually("the old services are gone", async || next.contract(&installation.pool).await.ok()).await;
    assert_eq!(contracted, [next.number()]);
    assert_eq!(fit(&next, &installation).await, Ok(()));
    let gone = Err(Misfit::Contracted { by: next.number() });
    assert_eq!(fit(&this, &installation).await, gone, "whoever comes late is told");
    let refused = this.expand(&installation.pool).await.unwrap_err();
    assert!(matches!(refused, TablesError::Misfit(Misfit::Contracted { .. })), "{refused}");
}

#[tokio::test]
async fn a_migration_waits_for_a_table_in_short_turns_and_nobody_waits_for_it() {
    let installation = Installation::new().await;
    Release::This.tables().await.expand(&installation.pool).await.unwrap();
    let next = later(&[MORE]).await;
    // A long report, say, holds the table.
    let mut report = installation.pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM spaces").execute(&mut *report).await.unwrap();

    let waits = "SELECT count(*) FROM pg_locks WHERE relation = 'spaces'::regclass AND NOT granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let others = async {
        eventually("the migration waits", async || {
            let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&installation.pool).await.ok()?;
            (waiting > 0).then_some(())
        })
        .await;
        // Behind it in the queue, and still answered while the report goes on.
        insert_space("ann", &installation).await;
        report.rollback().await.unwrap();
    };
    let (migrated, ()) = tokio::join!(next.expand(&installation.pool), others);
    migrated.unwrap();
    sqlx::query("SELECT colour FROM spaces").execute(&installation.pool).await.unwrap();
}

#[tokio::test]
async fn an_index_is_made_beside_writers() {
    let installation = Installation::new().await;
    Release::This.tables().await.expand(&installation.pool).await.unwrap();
    let next = later(&[("index", "CREATE INDEX CONCURRENTLY spaces_by_head ON spaces (head)")]).await;
    let mut writer = installation.pool.begin().await.unwrap();
    sqlx::query("INSERT INTO spaces (space_id, epoch) VALUES ('ann', gen_random_uuid())")
        .execute(&mut *writer)
        .await
        .unwrap();
    let begun = "SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()";
    let others = async {
        eventually("the index is being made", async || {
            let begun: i64 = sqlx::query_scalar(begun).fetch_one(&installation.pool).await.ok()?;
            (begun > 0).then_some(())
        })
        .await;
        insert_space("ben", &installation).await;
        writer.commit().await.unwrap();
    };
    let (migrated, ()) = tokio::join!(next.expand(&installation.pool), others);
    migrated.unwrap();
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_is_an_error() {
    let installation = Installation::new().await;
    later(&[MORE]).await.expand(&installation.pool).await.unwrap();
    let changed = later(&[("more of spaces", "ALTER TABLE spaces ADD COLUMN color text"), LESS]).await;
    let refused = changed.contract(&installation.pool).await.unwrap_err();
    assert!(matches!(refused, TablesError::Migration(_)), "{refused}");
}
