-- PostgreSQL roles of Tidelog: one a service, and one that owns the tables. Run once, in the database, by a superuser or by its
-- owner with CREATEROLE, before the first `tidelog migrate`; harmless again:
--   psql "$ADMIN_URL" -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql
-- Passwords are set afterwards, where they show in no file and no log: \password tidelog_gateway, and so on.
-- What each may do stands in grants.sql, which is run after each `tidelog migrate`.
BEGIN;

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY
        ARRAY['tidelog_migrate', 'tidelog_gateway', 'tidelog_ingest', 'tidelog_projector', 'tidelog_compactor']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
        END IF;
    END LOOP;
    -- Nobody else who has an account on the server comes in.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO tidelog_migrate, tidelog_gateway, tidelog_ingest, '
                   'tidelog_projector, tidelog_compactor', current_database());
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO tidelog_migrate;
GRANT USAGE ON SCHEMA public TO tidelog_gateway, tidelog_ingest, tidelog_projector, tidelog_compactor;

COMMIT;
