-- A chat widget on web pages. Its account and its channel are made with it and go with it.
CREATE TABLE widgets (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    channel_id UUID NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    allowed_origins TEXT NOT NULL,
    appearance TEXT NOT NULL,
    texts TEXT NOT NULL,
    default_language TEXT NOT NULL,
    fields TEXT NOT NULL,
    -- NULL: the organisation's.
    operating_hours TEXT,
    whatsapp_channel_id UUID,
    archived_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX widgets_slug ON widgets (organisation_id, slug);

-- What embed tokens are signed with, sealed. The current one has no `good_until`.
CREATE TABLE widget_keys (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    secret BYTEA NOT NULL,
    good_until BIGINT,
    revoked_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX widget_keys_id ON widget_keys (id);
CREATE UNIQUE INDEX widget_keys_current ON widget_keys (organisation_id)
    WHERE good_until IS NULL AND revoked_at IS NULL;
