-- Devices: what users say of theirs, what is known of why one does not sync, and what people decided about quarantine.

-- What a user, or support for them, has said of a device. Inserted by ingest. The space is the user's personal one, whichever
-- spaces the device pushes to. Name and revocation each follow their latest command, so each keeps its command's time:
-- commands may come again, and in another order.
CREATE TABLE device_profiles (
    space_id   text COLLATE "C" NOT NULL,
    device_id  text COLLATE "C" NOT NULL,
    name       text,
    named_at   timestamptz,
    -- Revoked, or restored, when and by whom.
    revoked    boolean NOT NULL DEFAULT false,
    revoked_at timestamptz,
    revoked_by text COLLATE "C",
    PRIMARY KEY (space_id, device_id)
);

-- All of it ingest's. No index on any of it: noting facts touches none (HOT).
ALTER TABLE devices
    ADD COLUMN pushed_at            timestamptz,
    ADD COLUMN app_version          text,
    -- The device's latest report of itself.
    ADD COLUMN reported_at          timestamptz,
    ADD COLUMN pending              bigint,
    ADD COLUMN reported_error       text,
    ADD COLUMN clock_offset_ms      bigint,
    -- The state that it reported last, comparable with `projections` at the same position, epoch and schema version;
    -- and since when it is known to differ.
    ADD COLUMN state_position       bigint,
    ADD COLUMN state_epoch          uuid,
    ADD COLUMN state_schema_version bigint,
    ADD COLUMN state_hash           jsonb,
    ADD COLUMN diverged_at          timestamptz,
    -- Its latest push that was refused.
    ADD COLUMN refused_at           timestamptz,
    ADD COLUMN refusal_code         text,
    ADD COLUMN refusal_detail       text,
    -- How many were refused for a gap, and for a fork.
    ADD COLUMN gaps                 bigint NOT NULL DEFAULT 0,
    ADD COLUMN forks                bigint NOT NULL DEFAULT 0;

-- Hidden by a person, or shown again, when and by whom. Ingest's.
ALTER TABLE quarantine
    ADD COLUMN dismissed    boolean NOT NULL DEFAULT false,
    ADD COLUMN dismissed_at timestamptz,
    ADD COLUMN dismissed_by text COLLATE "C";
ALTER TABLE quarantined_messages
    ADD COLUMN dismissed    boolean NOT NULL DEFAULT false,
    ADD COLUMN dismissed_at timestamptz,
    ADD COLUMN dismissed_by text COLLATE "C";

-- Walks quarantine, the latest first: all of it, and that of one space.
CREATE INDEX quarantine_latest ON quarantine (received_at, space_id, device_id, device_sequence);
CREATE INDEX quarantine_latest_of_space ON quarantine (space_id, received_at, device_id, device_sequence);
CREATE INDEX quarantined_messages_latest ON quarantined_messages (received_at, space_id, digest);
