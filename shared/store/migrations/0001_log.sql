-- The log: spaces, the devices that write to them, the segments of events, and what the log could not take.
-- Every key begins with space_id and nothing crosses spaces, so that the tables can be sharded by it.
-- Ids compare as bytes (COLLATE "C"): quicker, and the same order on every machine.

-- Which PostgreSQL wrote the log. A change of either means a restore or a failover: epochs rotate.
CREATE TABLE incarnation (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    system_identifier bigint  NOT NULL,
    timeline          bigint  NOT NULL
);

-- Inserted by ingest. `horizon` is the compactor's, all else ingest's.
CREATE TABLE spaces (
    space_id   text COLLATE "C" PRIMARY KEY,
    head       bigint      NOT NULL DEFAULT 0 CHECK (head >= 0),
    horizon    bigint      NOT NULL DEFAULT 0 CHECK (horizon BETWEEN 0 AND head),
    epoch      uuid        NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- Inserted by ingest. The watermark is kept for ever: it is what makes each event enter the log once.
CREATE TABLE devices (
    space_id      text COLLATE "C" NOT NULL,
    device_id     text COLLATE "C" NOT NULL,
    -- The user who first pushed with the device.
    user_id       text COLLATE "C" NOT NULL,
    last_sequence bigint      NOT NULL CHECK (last_sequence > 0),
    last_event_id uuid        NOT NULL,
    -- The last position that the device said it has, and when it was last heard of.
    cursor        bigint      NOT NULL DEFAULT 0,
    last_seen_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (space_id, device_id)
) WITH (fillfactor = 70);

-- Inserted by ingest, merged and deleted by the compactor.
CREATE TABLE segments (
    space_id       text COLLATE "C" NOT NULL,
    first          bigint      NOT NULL CHECK (first > 0),
    last           bigint      NOT NULL CHECK (last >= first),
    -- Of a segment that is one batch; null where it is several, which `batches` then lists.
    device_id      text COLLATE "C",
    user_id        text COLLATE "C",
    first_sequence bigint,
    last_sequence  bigint,
    received_at    timestamptz NOT NULL,
    released       boolean     NOT NULL DEFAULT false,
    -- [{"first", "deviceId", "userId", "receivedAt"}], as in the segment header.
    batches        jsonb,
    frame          bytea       NOT NULL,
    PRIMARY KEY (space_id, last),
    CHECK ((device_id IS NULL) = (batches IS NOT NULL)),
    CHECK ((device_id IS NULL) = (first_sequence IS NULL))
) WITH (toast_tuple_target = 8160, fillfactor = 100);
-- Frames are compressed already, and reading one out of line costs twice as much.
ALTER TABLE segments ALTER COLUMN frame SET STORAGE EXTERNAL;
-- Finds a device's own sequences: overlaps of a push, and what a forked device asks for.
CREATE INDEX segments_by_device ON segments (space_id, device_id, last_sequence) WHERE device_id IS NOT NULL;

-- Inserted and deleted (on release) by ingest.
CREATE TABLE quarantine (
    space_id        text COLLATE "C" NOT NULL,
    device_id       text COLLATE "C" NOT NULL,
    device_sequence bigint      NOT NULL CHECK (device_sequence > 0),
    event_id        uuid        NOT NULL,
    user_id         text COLLATE "C" NOT NULL,
    received_at     timestamptz NOT NULL,
    code            text        NOT NULL,
    detail          text        NOT NULL,
    -- The schema version that found the fault.
    schema_version  bigint      NOT NULL,
    line            bytea       NOT NULL,
    PRIMARY KEY (space_id, device_id, device_sequence)
);
-- Finds what a newer schema version may accept.
CREATE INDEX quarantine_releasable ON quarantine (schema_version)
    WHERE code IN ('event-unknown-key', 'event-unknown-type', 'event-payload-invalid');

-- Messages that no batch could be read from, or that the database refused even event by event. Inserted by
-- ingest. The digest keeps a message that is pushed again and again from filling the table.
CREATE TABLE quarantined_messages (
    space_id    text COLLATE "C" NOT NULL,
    digest      bytea       NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    reason      text        NOT NULL,
    header      text        NOT NULL,
    payload     bytea       NOT NULL,
    PRIMARY KEY (space_id, digest)
);

-- Tombstones of erased spaces, inserted by the compactor. Ingest takes nothing for a space that stands here.
CREATE TABLE erasures (
    space_id  text COLLATE "C" PRIMARY KEY,
    erased_at timestamptz NOT NULL DEFAULT now()
);
