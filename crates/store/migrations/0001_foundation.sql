-- One text for both databases. `@TABLE` ends a table of small rows (SQLite: WITHOUT ROWID), `@IDENTITY` is a
-- growing integer key. Times are microseconds since 1970, JSON is TEXT, ids are 16 bytes.

CREATE TABLE organisations (
    id UUID NOT NULL PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    timezone TEXT NOT NULL,
    operating_hours TEXT,
    settings TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) @TABLE;

CREATE TABLE users (
    id UUID NOT NULL PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    default_organisation_id UUID,
    disabled_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) @TABLE;

CREATE TABLE memberships (
    organisation_id UUID NOT NULL,
    user_id UUID NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'supervisor', 'agent', 'viewer')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, user_id)
) @TABLE;
CREATE INDEX memberships_user ON memberships (user_id);

-- A token of a person (`user_id`), bound to one organisation when `organisation_id` is set.
CREATE TABLE api_tokens (
    id @IDENTITY,
    user_id UUID NOT NULL,
    organisation_id UUID,
    name TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    abilities TEXT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX api_tokens_user ON api_tokens (user_id);

-- `external_id` is what webhooks name the account by: phone_number_id, or the bot's user id.
CREATE TABLE accounts (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    platform BIGINT NOT NULL,
    status BIGINT NOT NULL,
    external_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    phone_number TEXT,
    phone_digits TEXT,
    waba_id TEXT,
    username TEXT,
    is_default BOOLEAN NOT NULL,
    credentials BYTEA NOT NULL,
    settings TEXT NOT NULL,
    metadata TEXT NOT NULL,
    -- Fingerprints of the app secrets whose signature this account accepts, ` 12 -7 `; NULL: the server's own.
    signed_by TEXT,
    verified_name TEXT,
    quality TEXT,
    messaging_limit TEXT,
    last_error TEXT,
    connected_at BIGINT,
    checked_at BIGINT,
    webhook_verified_at BIGINT,
    last_event_at BIGINT,
    retired_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX accounts_external ON accounts (platform, external_id) WHERE retired_at IS NULL;
CREATE UNIQUE INDEX accounts_default ON accounts (organisation_id) WHERE is_default AND retired_at IS NULL;
CREATE UNIQUE INDEX accounts_id ON accounts (id);
CREATE INDEX accounts_waba ON accounts (waba_id);

-- The direct line of an account has an empty `external_id`.
CREATE TABLE channels (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    platform BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    status BIGINT NOT NULL,
    external_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    purpose TEXT,
    allow_routine_logs BOOLEAN NOT NULL,
    allow_issues BOOLEAN NOT NULL,
    default_site_id UUID,
    connected_at BIGINT,
    last_seen_at BIGINT,
    archived_at BIGINT,
    deleted_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX channels_external ON channels (account_id, external_id) WHERE deleted_at IS NULL;

CREATE TABLE contacts (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    name TEXT,
    wa_id TEXT,
    phone TEXT,
    email TEXT,
    language TEXT,
    username TEXT,
    profile TEXT,
    custom_fields TEXT,
    -- Lower-case name, phone, wa_id, e-mail and username, for substring search.
    search TEXT NOT NULL,
    last_seen_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;

CREATE TABLE contact_identities (
    organisation_id UUID NOT NULL,
    kind BIGINT NOT NULL,
    value TEXT NOT NULL,
    contact_id UUID NOT NULL,
    PRIMARY KEY (organisation_id, kind, value)
) @TABLE;
CREATE INDEX contact_identities_contact ON contact_identities (contact_id);

-- `peer_id` is the contact of a direct conversation, the channel's own id for a group.
CREATE TABLE conversations (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    channel_id UUID NOT NULL,
    peer_id UUID NOT NULL,
    topic TEXT NOT NULL,
    contact_id UUID,
    title TEXT,
    status BIGINT NOT NULL,
    priority BIGINT NOT NULL,
    unread_count BIGINT NOT NULL,
    message_count BIGINT NOT NULL,
    last_message_at BIGINT NOT NULL,
    last_inbound_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX conversations_peer ON conversations (organisation_id, peer_id, channel_id, topic);
-- The last two are not searched by: with them a filtered list passes over what it leaves out without reading rows.
CREATE INDEX conversations_fresh ON conversations (organisation_id, last_message_at, id, channel_id, status);
-- Most conversations are open (status 1); the few others are found without walking past them.
CREATE INDEX conversations_not_open ON conversations (organisation_id, status, last_message_at) WHERE status <> 1;

-- `sort_at` is the time in whole seconds (providers give no more); the id, made here, breaks ties.
-- `provider_key` is the first 16 bytes of SHA-256(account id, provider message id).
CREATE TABLE messages (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    channel_id UUID NOT NULL,
    account_id UUID NOT NULL,
    contact_id UUID,
    user_id UUID,
    direction BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    status BIGINT NOT NULL,
    body TEXT,
    media TEXT,
    payload TEXT,
    provider_message_id TEXT,
    provider_key UUID,
    reply_to TEXT,
    error TEXT,
    sort_at BIGINT NOT NULL,
    occurred_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    delivered_at BIGINT,
    read_at BIGINT,
    failed_at BIGINT,
    edited_at BIGINT,
    revoked_at BIGINT,
    PRIMARY KEY (organisation_id, id),
    CHECK (status <> 80 OR failed_at IS NOT NULL),
    CHECK (status NOT IN (40, 50, 60, 70) OR sent_at IS NOT NULL OR delivered_at IS NOT NULL OR read_at IS NOT NULL)
);
CREATE UNIQUE INDEX messages_provider ON messages (organisation_id, provider_key) WHERE provider_key IS NOT NULL;
CREATE INDEX messages_thread ON messages (conversation_id, sort_at, id);

-- What a message, or any other source, put before the team. Text and media of webhook items are the message's.
CREATE TABLE inbox_items (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    class BIGINT NOT NULL,
    status BIGINT NOT NULL,
    platform BIGINT NOT NULL,
    channel_id UUID,
    conversation_id UUID,
    contact_id UUID,
    message_id UUID,
    external_id TEXT,
    kind BIGINT NOT NULL,
    text TEXT,
    media TEXT,
    sender TEXT,
    metadata TEXT,
    confidence DOUBLE PRECISION,
    reasons TEXT,
    suggestions TEXT,
    record TEXT,
    occurred_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX inbox_items_external ON inbox_items (organisation_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX inbox_items_handled ON inbox_items (organisation_id, status, id) WHERE status <> 1;

-- Delivery reports that came before the message they are about.
CREATE TABLE early_statuses (
    organisation_id UUID NOT NULL,
    provider_key UUID NOT NULL,
    status BIGINT NOT NULL,
    callback_data TEXT,
    error TEXT,
    occurred_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, provider_key, status)
) @TABLE;

CREATE TABLE templates (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    waba_id TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    name TEXT NOT NULL,
    language TEXT NOT NULL,
    status TEXT NOT NULL,
    category TEXT,
    quality TEXT,
    reason TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX templates_name ON templates (organisation_id, waba_id, name, language);

-- One row per change, numbered without gaps in each organisation.
CREATE TABLE events (
    organisation_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    subject_id UUID,
    data TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, seq)
) @TABLE;
CREATE TABLE event_sequences (
    organisation_id UUID NOT NULL PRIMARY KEY,
    last_seq BIGINT NOT NULL
) @TABLE;

-- Row counts that lists show as totals. subject: 1 conversations (by channel and status), 2 contacts,
-- 3 inbox items (by status). `ref_id` is the channel, or sixteen zero bytes.
CREATE TABLE counters (
    organisation_id UUID NOT NULL,
    subject BIGINT NOT NULL,
    ref_id UUID NOT NULL,
    status BIGINT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, subject, ref_id, status)
) @TABLE;

-- A message to send. `lease_until` is set while a sender works on attempt number `attempt`.
CREATE TABLE outbound_queue (
    organisation_id UUID NOT NULL,
    message_id UUID NOT NULL,
    account_id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    attempt BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    lease_until BIGINT,
    lease_owner UUID,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, message_id),
    CHECK ((lease_until IS NULL) = (lease_owner IS NULL))
) @TABLE;
CREATE INDEX outbound_queue_lane ON outbound_queue (conversation_id, message_id);
CREATE INDEX outbound_queue_due ON outbound_queue (due_at);
CREATE INDEX outbound_queue_leased ON outbound_queue (lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE outbound_attempts (
    organisation_id UUID NOT NULL,
    message_id UUID NOT NULL,
    attempt BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('started', 'accepted', 'retry', 'failed', 'uncertain')),
    error TEXT,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    PRIMARY KEY (organisation_id, message_id, attempt),
    CHECK ((state = 'started') = (finished_at IS NULL))
) @TABLE;

CREATE TABLE idempotency_keys (
    organisation_id UUID NOT NULL,
    token_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status BIGINT,
    body TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, token_id, key)
) @TABLE;
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- How far each stream of the inbound log is applied; `applied_until` is when its last applied entry came in.
CREATE TABLE inbound_positions (
    stream BIGINT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    applied_until BIGINT
) @TABLE;

-- Pieces of inbound bodies that are not applied: `quarantined` with an error, or `unclaimed` (no account yet).
CREATE TABLE held_updates (
    id UUID NOT NULL PRIMARY KEY,
    organisation_id UUID,
    stream BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    item BIGINT NOT NULL,
    pointer TEXT NOT NULL,
    platform BIGINT NOT NULL,
    account_key TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('quarantined', 'unclaimed')),
    error TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    resolved_at BIGINT
) @TABLE;
CREATE UNIQUE INDEX held_updates_source ON held_updates (stream, seq, item);
CREATE INDEX held_updates_open ON held_updates (platform, account_key) WHERE resolved_at IS NULL;

-- One row that the readiness check writes.
CREATE TABLE health (
    id BIGINT NOT NULL PRIMARY KEY,
    checked_at BIGINT NOT NULL
) @TABLE;
