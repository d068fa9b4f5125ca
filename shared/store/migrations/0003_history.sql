-- What stands for the log through the horizon, and where what was pruned has gone. All of it is the compactor's.

-- The folded entities of a space through a position. The one at the space's horizon is what readers get. Those beyond it
-- are not proven; those before it stay a while for who is just reading them.
CREATE TABLE snapshots (
    space_id           text COLLATE "C" NOT NULL,
    through            bigint NOT NULL CHECK (through > 0),
    schema_version     bigint NOT NULL,
    schema_fingerprint text COLLATE "C" NOT NULL,
    -- Entities, invisible ones included, by type: {"workout": 120}.
    entities           jsonb  NOT NULL,
    state_hash         jsonb  NOT NULL,
    -- The last sequence of each numbered device at or below `through`: {"phone-1": 50}.
    devices            jsonb  NOT NULL,
    parts              integer NOT NULL CHECK (parts >= 0),
    -- Stored bytes of the parts.
    bytes              bigint NOT NULL,
    written_at         timestamptz NOT NULL,
    superseded_at      timestamptz,
    PRIMARY KEY (space_id, through)
);

-- The entity lines of snapshots in order of type and id, in frames of about 256 KiB decoded. A part without a row in
-- `snapshots` is of one that was never finished.
CREATE TABLE snapshot_parts (
    space_id   text COLLATE "C" NOT NULL,
    through    bigint  NOT NULL,
    part       integer NOT NULL CHECK (part >= 0),
    -- The types of its first and last entity.
    first_type text COLLATE "C" NOT NULL,
    last_type  text COLLATE "C" NOT NULL,
    entities   integer NOT NULL CHECK (entities > 0),
    frame      bytea   NOT NULL,
    PRIMARY KEY (space_id, through, part)
) WITH (toast_tuple_target = 8160, fillfactor = 100);
ALTER TABLE snapshot_parts ALTER COLUMN frame SET STORAGE EXTERNAL;

-- Which object of the archive store holds which positions: all of a space's through its horizon, without a gap.
CREATE TABLE archive (
    space_id    text COLLATE "C" NOT NULL,
    first       bigint NOT NULL CHECK (first > 0),
    last        bigint NOT NULL CHECK (last >= first),
    -- The log's incarnation when it was written.
    epoch       uuid   NOT NULL,
    object      text   NOT NULL,
    sha256      bytea  NOT NULL,
    bytes       bigint NOT NULL,
    archived_at timestamptz NOT NULL,
    PRIMARY KEY (space_id, last)
);

-- Which sequences of a device that numbers its events lie in a row of `archive`, between others perhaps.
CREATE TABLE archive_devices (
    space_id       text COLLATE "C" NOT NULL,
    device_id      text COLLATE "C" NOT NULL,
    last           bigint NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence  bigint NOT NULL,
    PRIMARY KEY (space_id, device_id, last)
);

-- The same for segments that were merged of several batches.
CREATE TABLE segment_devices (
    space_id       text COLLATE "C" NOT NULL,
    device_id      text COLLATE "C" NOT NULL,
    last           bigint NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence  bigint NOT NULL,
    PRIMARY KEY (space_id, device_id, last)
);
-- Finds what goes when segments are merged again or pruned.
CREATE INDEX segment_devices_by_segment ON segment_devices (space_id, last);

-- What the compactor has done with a space, and why it last refused to prune it. Its lock is held by who is at it.
CREATE TABLE compactions (
    space_id       text COLLATE "C" PRIMARY KEY,
    -- Segments through here are merged as far as they will be.
    merged_through bigint NOT NULL DEFAULT 0,
    -- Of the last refusal that still stands: when, and what differed.
    refused_at     timestamptz,
    refusal        jsonb,
    CHECK ((refused_at IS NULL) = (refusal IS NULL))
) WITH (fillfactor = 70);

-- A rebuild begins with the snapshot through this position (0: with an empty state), of which these parts are next.
ALTER TABLE rebuilds
    ADD COLUMN snapshot  bigint  NOT NULL DEFAULT 0,
    ADD COLUMN next_part integer NOT NULL DEFAULT 0;
