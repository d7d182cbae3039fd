-- Signups of WhatsApp business accounts over Meta's dialog.
CREATE TABLE signups (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    status BIGINT NOT NULL,
    -- NULL until the token tells it.
    waba_id TEXT,
    -- The one number that is wanted; NULL: all of the business account's.
    phone_number_id TEXT,
    -- Where Meta's dialog gave the code to; Meta wants it again in the exchange.
    redirect_uri TEXT,
    -- SHA-256 of the code.
    code_hash TEXT NOT NULL,
    -- Sealed: the code until it is exchanged, then the token; the PIN that was given. NULL: of no more use.
    secrets BYTEA,
    -- JSON: each step with its status, detail and action.
    steps TEXT NOT NULL,
    -- JSON: ids of the messaging accounts.
    account_ids TEXT NOT NULL,
    -- Counts changes: whoever changes it says which state was seen.
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id),
    CHECK (status <> 2 OR secrets IS NULL)
) @TABLE;
CREATE UNIQUE INDEX signups_code ON signups (organisation_id, code_hash);
CREATE INDEX signups_secrets ON signups (updated_at) WHERE secrets IS NOT NULL;
