-- Read models: what the events of a space fold into. All of it is the projector's, and all of it can be made
-- again from the log.

-- How far a space is folded. Its lock orders whoever folds the space.
CREATE TABLE projections (
    space_id       text COLLATE "C" PRIMARY KEY,
    -- Which rows of `entities` are read. A rebuild makes the next generation beside it, then this number moves.
    generation     integer NOT NULL DEFAULT 1,
    -- The position through which the space's log is folded into that generation.
    applied        bigint  NOT NULL DEFAULT 0 CHECK (applied >= 0),
    -- {"workout": "32 hexadecimal digits"}: docs/formats.md, state hash.
    state_hash     jsonb   NOT NULL DEFAULT '{}',
    -- The schema that folded it, the newest one if there were several: its version, and a digest that tells apart
    -- contents of one version. `mixed`: another one folded some of it, too; then the hash is comparable with nobody's
    -- until the space is rebuilt.
    schema_version     bigint  NOT NULL,
    schema_fingerprint text COLLATE "C" NOT NULL DEFAULT '',
    mixed              boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
-- Finds what another schema must rebuild.
CREATE INDEX projections_by_schema ON projections (schema_version, schema_fingerprint, mixed);

-- A rebuild under way: a generation that is being filled beside the one that is read; or, once `retired`, one that
-- nobody reads any more and whose rows are being deleted.
CREATE TABLE rebuilds (
    space_id       text COLLATE "C" PRIMARY KEY,
    generation     integer NOT NULL,
    applied        bigint  NOT NULL DEFAULT 0 CHECK (applied >= 0),
    state_hash     jsonb   NOT NULL DEFAULT '{}',
    schema_version     bigint  NOT NULL,
    schema_fingerprint text COLLATE "C" NOT NULL DEFAULT '',
    retired            boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);

CREATE TABLE entities (
    space_id         text COLLATE "C" NOT NULL,
    generation       integer NOT NULL,
    entity_type      text COLLATE "C" NOT NULL,
    entity_id        text COLLATE "C" NOT NULL,
    visible          boolean NOT NULL,
    -- The fields as readers get them.
    view             jsonb   NOT NULL,
    -- The entity line (docs/formats.md): the fields with their clocks, from which the view can be made. Text, since
    -- its very bytes are hashed.
    clocks           text    NOT NULL,
    -- The position of the last event that is folded into it.
    updated_position bigint  NOT NULL,
    PRIMARY KEY (space_id, generation, entity_type, entity_id)
    -- No other index: most updates then touch no index at all (HOT). Queries by value go through `entity_keys`.
) WITH (fillfactor = 70);

-- How a field of a view compares with an operand: '<', '=' or '>', or null where the entity lacks the field. Of a set or
-- list ('elements'): '=' if the operand is in it. Sums may be texts of digits, so numbers ('number') are compared as
-- numeric; texts as bytes, not as a language does. One expression, so that it becomes part of the statements that call it.
CREATE FUNCTION field_compares(view jsonb, field text, kind text, operand jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE kind
    WHEN 'elements' THEN CASE WHEN view -> field @> jsonb_build_array(operand) THEN '=' END
    WHEN 'number' THEN CASE
        WHEN (view ->> field)::numeric < (operand #>> '{}')::numeric THEN '<'
        WHEN (view ->> field)::numeric = (operand #>> '{}')::numeric THEN '='
        WHEN (view ->> field)::numeric > (operand #>> '{}')::numeric THEN '>'
    END
    ELSE CASE
        WHEN (view ->> field) COLLATE "C" < (operand #>> '{}') COLLATE "C" THEN '<'
        WHEN (view ->> field) COLLATE "C" = (operand #>> '{}') COLLATE "C" THEN '='
        WHEN (view ->> field) COLLATE "C" > (operand #>> '{}') COLLATE "C" THEN '>'
    END
END;

-- Values of the fields that the schema says are `indexed`, of visible entities: a row for each value, several for
-- a set or a list. `key` orders as the values do, cut to a length that fits an index; who finds an entity by its key
-- looks at the value again.
CREATE TABLE entity_keys (
    space_id    text COLLATE "C" NOT NULL,
    generation  integer NOT NULL,
    entity_type text COLLATE "C" NOT NULL,
    field       text COLLATE "C" NOT NULL,
    key         bytea   NOT NULL,
    entity_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (space_id, generation, entity_type, field, key, entity_id)
);

-- Events of the log that the fold skipped: their type is unknown to the schema version that folded them, or their
-- payload does not fit it.
CREATE TABLE skipped_events (
    space_id   text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    position   bigint  NOT NULL CHECK (position > 0),
    reason     text    NOT NULL,
    PRIMARY KEY (space_id, generation, position)
);
