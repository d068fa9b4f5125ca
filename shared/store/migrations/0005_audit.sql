-- Who has looked at what, and done what, over the admin API. Inserted, updated and deleted by the gateway: the one table
-- that it writes.
CREATE TABLE admin_audit (
    -- The space that the call names; empty where it names none.
    space_id       text COLLATE "C" NOT NULL,
    at             timestamptz NOT NULL,
    -- UUID v7, of the same time.
    id             uuid        NOT NULL,
    -- The token's `sub`, and its scope.
    actor          text COLLATE "C" NOT NULL,
    scope          text        NOT NULL,
    -- What was called, by a name that stays: `events.read`.
    action         text COLLATE "C" NOT NULL,
    method         text        NOT NULL,
    path           text        NOT NULL,
    query          text        NOT NULL,
    -- Of the answer; null until there is one.
    status         smallint,
    remote_address inet,
    user_agent     text,
    PRIMARY KEY (space_id, at, id)
) WITH (fillfactor = 90);
-- Finds the latest, the oldest, and those of one person.
CREATE INDEX admin_audit_by_time ON admin_audit (at, id);
CREATE INDEX admin_audit_by_actor ON admin_audit (actor, at, id);

-- Finds the spaces that are not pruned since their read model differs.
CREATE INDEX compactions_refused ON compactions (refused_at) WHERE refusal IS NOT NULL;
