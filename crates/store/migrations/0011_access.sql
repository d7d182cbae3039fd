-- `kind`: 1 a token, 2 a browser's session, 3 given to `app_id` by its person. `channel_ids` and `site_ids` are
-- JSON lists of what the token is bound to. `announce_at`: when it is told that the token is about to expire; NULL once
-- that was done, or when it is not to be.
ALTER TABLE api_tokens ADD COLUMN kind BIGINT NOT NULL DEFAULT 1;
ALTER TABLE api_tokens ADD COLUMN app_id UUID;
ALTER TABLE api_tokens ADD COLUMN channel_ids TEXT;
ALTER TABLE api_tokens ADD COLUMN site_ids TEXT;
ALTER TABLE api_tokens ADD COLUMN announce_at BIGINT;
UPDATE api_tokens SET announce_at = expires_at - 604800000000 WHERE organisation_id IS NOT NULL AND expires_at IS NOT NULL;
CREATE INDEX api_tokens_organisation ON api_tokens (organisation_id, id) WHERE organisation_id IS NOT NULL;
CREATE INDEX api_tokens_app ON api_tokens (app_id) WHERE app_id IS NOT NULL;
CREATE INDEX api_tokens_announce ON api_tokens (announce_at) WHERE announce_at IS NOT NULL;
CREATE INDEX api_tokens_sessions ON api_tokens (expires_at) WHERE kind = 2;

-- Apps that people of any organisation may connect; `organisation_id` is the one that registered it.
CREATE TABLE apps (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    homepage TEXT,
    logo_file_id UUID,
    -- JSON list; compared whole.
    redirect_uris TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX apps_id ON apps (id);
CREATE UNIQUE INDEX apps_slug ON apps (slug);

-- Codes that apps exchange for tokens. Used ones stay until they expire twice over, so that a replay is known.
CREATE TABLE connect_codes (
    code_hash TEXT NOT NULL PRIMARY KEY,
    app_id UUID NOT NULL,
    organisation_id UUID NOT NULL,
    user_id UUID NOT NULL,
    redirect_uri TEXT NOT NULL,
    abilities TEXT NOT NULL,
    -- Base64url SHA-256 of the PKCE verifier.
    challenge TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    token_id BIGINT
) @TABLE;
CREATE INDEX connect_codes_expires ON connect_codes (expires_at);
