//! What a service's role at PostgreSQL must not do, and who comes in at all.

use std::borrow::Cow;

use sqlx::PgPool;
use tidelog_runtime::database::{DatabaseFault, classify};

use super::servers::{Authority, Database, SERVICES, toolbox};

const PERMISSION_DENIED: &str = "42501";

/// (service, statements that it must not run).
const FORBIDDEN: [(&str, &[&str]); 4] = [
    (
        "gateway",
        &[
            "INSERT INTO segments (space_id, first, last, received_at, frame) VALUES ('ann', 1, 1, now(), '')",
            "UPDATE segments SET frame = ''",
            "DELETE FROM segments",
            "UPDATE spaces SET head = 0",
            "UPDATE devices SET last_sequence = 9",
            "UPDATE admin_audit SET actor = 'nobody'",
            "SELECT * FROM spaces FOR UPDATE",
            "TRUNCATE admin_audit",
            "CREATE TABLE mine (number integer)",
        ],
    ),
    (
        "ingest",
        &[
            "UPDATE segments SET frame = ''",
            "DELETE FROM segments",
            "DELETE FROM devices",
            "UPDATE spaces SET horizon = 0",
            "SELECT * FROM admin_audit",
            "INSERT INTO entities (space_id) VALUES ('ann')",
        ],
    ),
    (
        "projector",
        &[
            "INSERT INTO segments (space_id) VALUES ('ann')",
            "DELETE FROM segments",
            "UPDATE spaces SET head = 0",
            "DELETE FROM snapshots",
            "SELECT * FROM quarantine",
            "SELECT * FROM admin_audit",
        ],
    ),
    (
        "compactor",
        &[
            "INSERT INTO segments (space_id) VALUES ('ann')",
            "UPDATE spaces SET head = 0",
            "UPDATE devices SET last_sequence = 9",
            "DELETE FROM entities",
            "DELETE FROM archive",
            "SELECT * FROM admin_audit",
        ],
    ),
];

async fn is_denied(pool: &PgPool, service: &str, statement: &'static str) {
    let error = sqlx::raw_sql(statement).execute(pool).await.unwrap_err();
    let code = error.as_database_error().and_then(|error| error.code().map(Cow::into_owned));
    assert_eq!(code.as_deref(), Some(PERMISSION_DENIED), "{service}: {statement}: {error}");
}

/// Why no connection could be had; the pool itself says only that its time was up.
async fn refused(url: &str) -> String {
    let mut connection = sqlx::postgres::PgPoolOptions::new();
    connection = connection.max_connections(1).acquire_timeout(std::time::Duration::from_secs(5));
    let error = connection.connect(url).await.unwrap_err();
    assert_ne!(classify(&error), DatabaseFault::Poison);
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_role_can_do_what_is_not_its_services_own_and_nobody_comes_in_without_tls_and_proof() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let database = Database::start(&toolbox(), folder.path(), &authority).await;
    for service in SERVICES {
        let pool = Database::connect(&database.url(service, &authority), service);
        let tls = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
        let version: String = sqlx::query_scalar(tls).fetch_one(&pool).await.unwrap();
        assert_eq!(version, "TLSv1.3", "through the relay");
        let own: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(&pool).await.unwrap();
        assert_eq!(own, format!("tidelog_{service}"));
        let (_, statements) = FORBIDDEN.iter().find(|(name, _)| *name == service).unwrap();
        for statement in *statements {
            is_denied(&pool, service, statement).await;
        }
        pool.close().await;
    }
    impostors_and_eavesdroppers(&database, &authority, folder.path()).await;
}

/// Each of these is what the services' own pool would meet; a pool without relay says why.
async fn impostors_and_eavesdroppers(database: &Database, authority: &Authority, folder: &std::path::Path) {
    let right = authority.certificate.display();
    let wrong = Authority::new(folder, "another");
    let wrong_file = wrong.certificate.display();
    let cases = [
        ("gateway", "localhost", format!("sslmode=verify-full&sslrootcert={wrong_file}"), "UnknownIssuer"),
        ("gateway", "127.0.0.1", format!("sslmode=verify-full&sslrootcert={right}"), "not valid for"),
        ("gateway", "localhost", "sslmode=verify-full".to_owned(), "UnknownIssuer"),
        ("gateway", "localhost", "sslmode=disable".to_owned(), "no encryption"),
        ("ingest", "localhost", format!("sslmode=verify-full&sslrootcert={right}"), "certificate"),
    ];
    for (role, host, parameters, expect) in cases {
        let url = database.url_with(role, host, &parameters);
        let said = refused(&url).await;
        assert!(said.contains(expect), "{role} {host} {parameters}: {said}");
        let pool = Database::connect(&url, role);
        assert!(pool.acquire().await.is_err(), "nor through the relay: {role} {host} {parameters}");
    }
    let password =
        database.url_with("gateway", "localhost", &format!("sslmode=verify-full&sslrootcert={right}"));
    let said = refused(&password.replace("ofgateway0", "guessed")).await;
    assert!(said.contains("password authentication failed"), "{said}");
    // `require`, as PostgreSQL means it, encrypts and believes any certificate.
    let believing =
        Database::connect(&database.url_with("gateway", "127.0.0.1", "sslmode=require"), "gateway");
    assert!(believing.acquire().await.is_ok());
}
