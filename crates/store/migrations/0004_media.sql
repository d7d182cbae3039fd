-- Bytes in the object store, once for each content in an organisation. Every file with this content refers to it.
CREATE TABLE media_objects (
    organisation_id UUID NOT NULL,
    -- Lowercase hexadecimal.
    sha256 TEXT NOT NULL,
    key TEXT NOT NULL,
    size BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, sha256)
) @TABLE;

CREATE TABLE files (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    status BIGINT NOT NULL,
    origin BIGINT NOT NULL,
    mime_type TEXT,
    filename TEXT,
    -- Set once stored: the object's.
    sha256 TEXT,
    size BIGINT,
    -- Why it is missing.
    reason TEXT,
    -- Where to fetch it: of a message the account and the provider's id, else an address.
    account_id UUID,
    message_id UUID,
    provider_id TEXT,
    url TEXT,
    -- What the provider says of its content.
    claimed_sha256 TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id),
    CHECK ((status = 2) = (sha256 IS NOT NULL AND size IS NOT NULL)),
    CHECK ((status = 3) = (reason IS NOT NULL)),
    CHECK (origin <> 2 OR (account_id IS NOT NULL AND provider_id IS NOT NULL))
) @TABLE;
CREATE UNIQUE INDEX files_id ON files (id);
CREATE INDEX files_content ON files (organisation_id, sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX files_not_stored ON files (organisation_id, status, id) WHERE status <> 2;

-- What a provider calls a file that was given to it over an account, until it forgets it.
CREATE TABLE media_uploads (
    organisation_id UUID NOT NULL,
    account_id UUID NOT NULL,
    -- The content, and what it was uploaded as: the same bytes may go as a photo and as a document.
    sha256 TEXT NOT NULL,
    kind TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, account_id, sha256, kind)
) @TABLE;
CREATE INDEX media_uploads_age ON media_uploads (expires_at);
