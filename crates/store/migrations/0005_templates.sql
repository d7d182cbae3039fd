-- What WhatsApp lets a business write first. A draft has no `provider_id` yet: ''.
ALTER TABLE templates ADD COLUMN components TEXT;
ALTER TABLE templates ADD COLUMN parameter_format TEXT;
ALTER TABLE templates ADD COLUMN previous_category TEXT;
ALTER TABLE templates ADD COLUMN ttl_seconds BIGINT;
-- Name and body in lower case, for looking inside.
ALTER TABLE templates ADD COLUMN search TEXT NOT NULL DEFAULT '';
-- When it was last given to WhatsApp. On a draft: it is being given now, or nobody knows what came of it.
ALTER TABLE templates ADD COLUMN submitted_at BIGINT;
ALTER TABLE templates ADD COLUMN deleted_at BIGINT;
UPDATE templates SET search = LOWER(name);
DROP INDEX templates_name;
CREATE UNIQUE INDEX templates_name ON templates (organisation_id, waba_id, name, language)
    WHERE deleted_at IS NULL AND provider_id <> '';
CREATE UNIQUE INDEX templates_draft ON templates (organisation_id, waba_id, name, language)
    WHERE deleted_at IS NULL AND provider_id = '';

-- When the templates of a business account were last read from WhatsApp.
CREATE TABLE template_syncs (
    organisation_id UUID NOT NULL,
    waba_id TEXT NOT NULL,
    -- The subject of its jobs.
    id UUID NOT NULL,
    asked_at BIGINT NOT NULL,
    synced_at BIGINT,
    -- Why the last reading failed; NULL when it did not.
    error TEXT,
    PRIMARY KEY (organisation_id, waba_id)
) @TABLE;
