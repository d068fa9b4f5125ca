-- What each service's role may do: read the tables that its statements name, insert and delete where it is the one who does,
-- and update its own columns, no more. Run as the owner of the tables after each `tidelog migrate`, before services of a new
-- version start; in one transaction, so that running services notice nothing:
--   psql "$MIGRATE_URL" -v ON_ERROR_STOP=1 -f deploy/postgres/grants.sql
-- A test holds this file against the statements in shared/store. Who may update a column may also lock its rows.
BEGIN;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM tidelog_gateway, tidelog_ingest, tidelog_projector, tidelog_compactor;

-- Which migrations have run.
GRANT SELECT ON _sqlx_migrations TO tidelog_gateway, tidelog_ingest, tidelog_projector, tidelog_compactor;

-- The gateway reads, and writes the audit.
GRANT SELECT ON archive, archive_devices, compactions, device_profiles, devices, entities, entity_keys, erasures,
    projections, quarantine, quarantined_messages, rebuilds, segment_devices, segments, snapshot_parts, snapshots,
    spaces
    TO tidelog_gateway;
GRANT SELECT, INSERT, DELETE, UPDATE (status) ON admin_audit TO tidelog_gateway;

-- Ingest writes the log: appends, never changes or deletes what is in it.
GRANT SELECT ON erasures, projections, segment_devices
    TO tidelog_ingest;
GRANT SELECT, INSERT, UPDATE (name, named_at, revoked, revoked_at, revoked_by) ON device_profiles TO tidelog_ingest;
GRANT SELECT, INSERT, UPDATE (app_version, clock_offset_ms, cursor, diverged_at, forks, gaps, last_event_id,
    last_seen_at, last_sequence, pending, pushed_at, refusal_code, refusal_detail, refused_at, reported_at,
    reported_error, state_epoch, state_hash, state_position, state_schema_version, user_id) ON devices TO
    tidelog_ingest;
GRANT SELECT, INSERT, UPDATE (system_identifier, timeline) ON incarnation TO tidelog_ingest;
GRANT SELECT, INSERT, DELETE, UPDATE (code, detail, dismissed, dismissed_at, dismissed_by, schema_version) ON
    quarantine TO tidelog_ingest;
GRANT SELECT, INSERT, UPDATE (dismissed, dismissed_at, dismissed_by) ON quarantined_messages TO tidelog_ingest;
GRANT SELECT, INSERT ON segments TO tidelog_ingest;
GRANT SELECT, INSERT, UPDATE (epoch, head) ON spaces TO tidelog_ingest;

-- The projector writes the read models, from which nothing else is made.
GRANT SELECT ON segments, snapshot_parts, snapshots, spaces
    TO tidelog_projector;
GRANT SELECT, INSERT, DELETE, UPDATE (clocks, updated_position, view, visible) ON entities TO tidelog_projector;
GRANT SELECT, INSERT, DELETE ON entity_keys TO tidelog_projector;
GRANT SELECT, INSERT, UPDATE (applied, generation, mixed, schema_fingerprint, schema_version, state_hash) ON
    projections TO tidelog_projector;
GRANT SELECT, INSERT, DELETE, UPDATE (applied, generation, next_part, retired, snapshot, state_hash) ON rebuilds TO
    tidelog_projector;
GRANT SELECT, INSERT, DELETE ON skipped_events TO tidelog_projector;

-- The compactor merges and prunes segments behind a snapshot, and writes what stands for them. It inserts none.
GRANT SELECT ON devices, entities, erasures, projections, rebuilds, skipped_events
    TO tidelog_compactor;
GRANT SELECT, INSERT ON archive TO tidelog_compactor;
GRANT SELECT, INSERT ON archive_devices TO tidelog_compactor;
GRANT SELECT, INSERT, UPDATE (merged_through, refusal, refused_at) ON compactions TO tidelog_compactor;
GRANT SELECT, INSERT, DELETE, UPDATE (first_sequence, last_sequence) ON segment_devices TO tidelog_compactor;
GRANT SELECT, DELETE, UPDATE (batches, device_id, first, first_sequence, frame, last_sequence, received_at, released,
    user_id) ON segments TO tidelog_compactor;
GRANT SELECT, INSERT, DELETE ON snapshot_parts TO tidelog_compactor;
GRANT SELECT, INSERT, DELETE, UPDATE (superseded_at) ON snapshots TO tidelog_compactor;
GRANT SELECT, UPDATE (horizon) ON spaces TO tidelog_compactor;

COMMIT;
