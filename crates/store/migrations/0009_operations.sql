-- Where work happens. `learned` are names that corrections taught, beside the `aliases` people gave.
CREATE TABLE sites (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    name TEXT NOT NULL,
    code TEXT,
    aliases TEXT NOT NULL,
    learned TEXT NOT NULL,
    timezone TEXT,
    operating_hours TEXT,
    address TEXT,
    latitude DOUBLE PRECISION,
    longitude DOUBLE PRECISION,
    supervisor_ids TEXT NOT NULL,
    metadata TEXT,
    -- Lower-case name, code, aliases and address, for substring search.
    search TEXT NOT NULL,
    archived_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX sites_code ON sites (organisation_id, lower(code)) WHERE code IS NOT NULL AND archived_at IS NULL;

CREATE TABLE facilities (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    site_id UUID NOT NULL,
    parent_id UUID,
    category_id UUID,
    name TEXT NOT NULL,
    code TEXT,
    aliases TEXT NOT NULL,
    learned TEXT NOT NULL,
    metadata TEXT,
    search TEXT NOT NULL,
    archived_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX facilities_code ON facilities (organisation_id, lower(code)) WHERE code IS NOT NULL AND archived_at IS NULL;
CREATE INDEX facilities_site ON facilities (organisation_id, site_id, id);

-- `key` names a default category of the understanding; `names` is `{en, id, ar}`.
CREATE TABLE categories (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    key TEXT,
    name TEXT NOT NULL,
    names TEXT NOT NULL,
    aliases TEXT NOT NULL,
    learned TEXT NOT NULL,
    search TEXT NOT NULL,
    archived_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX categories_key ON categories (organisation_id, key) WHERE key IS NOT NULL;

-- Grows with every change of an organisation's sites, facilities, categories and message templates; servers keep what
-- they built of one version. An organisation without a row has not been given the default categories yet.
CREATE TABLE vocabularies (
    organisation_id UUID NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL
) @TABLE;

-- Inbox items that are not understood yet.
CREATE TABLE understanding_queue (
    item_id UUID NOT NULL PRIMARY KEY,
    organisation_id UUID NOT NULL
) @TABLE;

-- Work updates (kind 1) and problems (kind 2). Only problems have severity, status and due times.
CREATE TABLE records (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    kind BIGINT NOT NULL,
    number TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT,
    site_id UUID,
    facility_id UUID,
    category_id UUID,
    severity BIGINT,
    status BIGINT,
    assignee_id UUID,
    -- Who reported it first: a contact, or a person of the team.
    reporter_contact_id UUID,
    reporter_user_id UUID,
    channel_id UUID,
    conversation_id UUID,
    inbox_item_id UUID,
    occurred_at BIGINT NOT NULL,
    due_at BIGINT,
    acknowledged_at BIGINT,
    resolved_at BIGINT,
    closed_at BIGINT,
    reopened_count BIGINT NOT NULL,
    -- The record that this one was found to be the same as.
    merged_into UUID,
    -- The last problem of the same thing before this one, and how many there were.
    recurrence_of UUID,
    recurrences BIGINT NOT NULL,
    metadata TEXT,
    -- Lower-case number, title and body, for substring search.
    search TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id),
    CHECK ((kind = 2) = (status IS NOT NULL)),
    CHECK ((kind = 2) = (severity IS NOT NULL)),
    CHECK (status IS NULL OR status <> 4 OR resolved_at IS NOT NULL),
    CHECK (status IS NULL OR status <> 5 OR closed_at IS NOT NULL)
) @TABLE;
CREATE UNIQUE INDEX records_number ON records (organisation_id, number);
-- Lists leave out what was merged, and whoever reads a record looks for what was merged into it.
CREATE INDEX records_kind ON records (organisation_id, kind, merged_into, id);
CREATE INDEX records_open ON records (organisation_id, status, id) WHERE status IN (1, 2, 3, 6);
CREATE INDEX records_facility ON records (organisation_id, facility_id, occurred_at) WHERE facility_id IS NOT NULL;
CREATE INDEX records_acknowledged ON records (organisation_id, acknowledged_at) WHERE acknowledged_at IS NOT NULL;
CREATE INDEX records_resolved ON records (organisation_id, resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX records_occurred ON records (organisation_id, kind, occurred_at);

CREATE TABLE record_numbers (
    organisation_id UUID NOT NULL,
    kind BIGINT NOT NULL,
    year BIGINT NOT NULL,
    last BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, kind, year)
) @TABLE;

-- The inbox items a record was made of, or that were added to it.
CREATE TABLE record_items (
    organisation_id UUID NOT NULL,
    record_id UUID NOT NULL,
    item_id UUID NOT NULL,
    message_id UUID,
    contact_id UUID,
    conversation_id UUID,
    channel_id UUID,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, record_id, item_id)
) @TABLE;
-- An item belongs to one record: converting twice never makes two.
CREATE UNIQUE INDEX record_items_item ON record_items (organisation_id, item_id);

-- Everything that happened to a record, with who and from which message. `data` depends on the kind.
CREATE TABLE record_entries (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    record_id UUID NOT NULL,
    kind TEXT NOT NULL,
    user_id UUID,
    contact_id UUID,
    message_id UUID,
    text TEXT,
    data TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE INDEX record_entries_record ON record_entries (organisation_id, record_id, id);

-- References to files, never the files: `file` is `{id, file_id, mime_type, sha256, caption, filename}`.
CREATE TABLE record_evidence (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    record_id UUID NOT NULL,
    stage BIGINT NOT NULL,
    file TEXT NOT NULL,
    message_id UUID,
    user_id UUID,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE INDEX record_evidence_record ON record_evidence (organisation_id, record_id, id);

CREATE TABLE record_watchers (
    organisation_id UUID NOT NULL,
    record_id UUID NOT NULL,
    user_id UUID NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, record_id, user_id)
) @TABLE;

-- What one number, or one channel, put before the team in a stretch of time; past its limit, into which digest item.
CREATE TABLE intake_windows (
    organisation_id UUID NOT NULL,
    source_id UUID NOT NULL,
    started_at BIGINT NOT NULL,
    taken BIGINT NOT NULL,
    digest_id UUID,
    PRIMARY KEY (organisation_id, source_id)
) @TABLE;

-- Questions put to people in chats (`Building A?`), until they are answered.
CREATE TABLE chat_questions (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    item_id UUID NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    message_id UUID,
    created_at BIGINT NOT NULL,
    answered_at BIGINT,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE INDEX chat_questions_open ON chat_questions (organisation_id, conversation_id, id) WHERE answered_at IS NULL;

-- Which supervisor was sent which site's digest of which day (days since 1970 in the site's own time).
CREATE TABLE site_digests (
    organisation_id UUID NOT NULL,
    site_id UUID NOT NULL,
    user_id UUID NOT NULL,
    day BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, site_id, user_id, day)
) @TABLE;

-- What the understanding found, `{language, engine, entities}`, and the digest a flood's items are gathered in.
ALTER TABLE inbox_items ADD COLUMN understanding TEXT;
ALTER TABLE inbox_items ADD COLUMN digest_id UUID;
CREATE INDEX inbox_items_digest ON inbox_items (organisation_id, digest_id, id) WHERE digest_id IS NOT NULL;
