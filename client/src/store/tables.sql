-- The device's store, format 1. Stamps are texts that sort by time; event ids and epochs are texts of UUIDs.

-- Whose store it is. One row.
CREATE TABLE store (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    user_id TEXT NOT NULL,
    app TEXT NOT NULL,
    -- The device id outside of backups, as of the last opening: another one means that the file was restored elsewhere.
    identity TEXT NOT NULL,
    -- The schema that the confirmed state was folded with.
    schema_fingerprint TEXT NOT NULL
) STRICT;

CREATE TABLE spaces (
    space INTEGER PRIMARY KEY,
    space_id TEXT NOT NULL UNIQUE,
    -- The queue that new events go to.
    recording_queue INTEGER NOT NULL,
    -- Events that were ever recorded here.
    recorded INTEGER NOT NULL DEFAULT 0,
    cursor INTEGER NOT NULL DEFAULT 0,
    head INTEGER NOT NULL DEFAULT 0,
    epoch TEXT,
    -- 1: the confirmed state is to be fetched anew, from the beginning; until the first part of that comes, it is shown
    -- as it is.
    refetch INTEGER NOT NULL DEFAULT 0,
    -- The hybrid clock, and the greatest stamp that was received and is believable.
    clock TEXT NOT NULL,
    received TEXT NOT NULL,
    last_seen_event_id TEXT,
    -- Which devices' events the confirmed state has from a snapshot, and through which sequence: a JSON object.
    snapshot_devices TEXT NOT NULL DEFAULT '{}',
    -- Entity types that are synced, as a JSON array; NULL: all.
    types TEXT,
    recent_ms INTEGER,
    last_synced_at_ms INTEGER
) STRICT;

-- How attempts to sync a space ended, until a report that told it was answered: JSON, as it stands in reports. Stores of
-- earlier versions do not have the table, and earlier versions pass it over.
CREATE TABLE IF NOT EXISTS sync_counts (
    space INTEGER PRIMARY KEY,
    counts TEXT NOT NULL
) STRICT;

-- The events of one device id in one space, in the order in which they are sent. A space has more than one after its
-- store was restored or cloned: lower ones are sent first.
CREATE TABLE queues (
    queue INTEGER PRIMARY KEY,
    space INTEGER NOT NULL REFERENCES spaces (space),
    device_id TEXT NOT NULL,
    next_sequence INTEGER NOT NULL DEFAULT 1,
    -- The server's committed watermark, as far as its event was compared with ours. Kept for ever.
    confirmed_sequence INTEGER NOT NULL DEFAULT 0,
    confirmed_event_id TEXT,
    -- The log's incarnation that told it.
    confirmed_epoch TEXT,
    -- Not NULL: the watermark that showed that other events have taken these sequences; the server is to be asked which
    -- of ours it has.
    forked_sequence INTEGER,
    forked_event_id TEXT,
    -- A snapshot has the device's events through this sequence: their echo will not come.
    covered_sequence INTEGER NOT NULL DEFAULT 0,
    UNIQUE (space, device_id)
) STRICT;

-- What was recorded on this device.
CREATE TABLE events (
    queue INTEGER NOT NULL REFERENCES queues (queue),
    sequence INTEGER NOT NULL,
    -- Order of recording.
    recorded INTEGER NOT NULL,
    space INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    -- The event as it is sent; from its echo on, as the log has it.
    line TEXT NOT NULL,
    -- The event and its stamp as the log has them from another life of this device, under that one's number.
    logged TEXT,
    logged_stamp TEXT,
    stamp TEXT NOT NULL,
    -- When it was recorded, by clocks that may lie, and the greatest stamp that had been received by then.
    wall_ms INTEGER NOT NULL,
    monotonic_ms INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    seen TEXT NOT NULL,
    -- 0 pending; 1 synced: the committed watermark covers it; 2 rejected: it lies in quarantine.
    state INTEGER NOT NULL DEFAULT 0,
    -- 1: folded into its entity's overlay.
    overlay INTEGER NOT NULL,
    position INTEGER,
    -- Why it is rejected; why it was withheld from the server.
    code TEXT,
    detail TEXT,
    withheld TEXT,
    -- 1: the app does not want to see the rejection any more.
    dismissed INTEGER NOT NULL DEFAULT 0,
    -- The server's time when it was known to be in the log, or in quarantine.
    settled_at_ms INTEGER,
    PRIMARY KEY (queue, sequence)
) STRICT, WITHOUT ROWID;

CREATE INDEX events_in_order ON events (space, recorded);
CREATE INDEX events_pending ON events (queue, sequence) WHERE state = 0;
CREATE INDEX events_rejected ON events (space, recorded) WHERE state = 2;
CREATE INDEX events_in_overlay ON events (space, entity_type, entity_id) WHERE overlay = 1;
CREATE INDEX events_in_overlay_by_id ON events (space, event_id) WHERE overlay = 1;

-- The state: entity lines of what the log says, and of what it does not have yet. Shown is both, merged.
CREATE TABLE entities (
    space INTEGER NOT NULL REFERENCES spaces (space),
    entity_type TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    confirmed TEXT,
    overlay TEXT,
    PRIMARY KEY (space, entity_type, entity_id)
) STRICT, WITHOUT ROWID;
