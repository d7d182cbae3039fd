-- Work that waits for its time. A lease that ran out leaves its job to be done again.
CREATE TABLE jobs (
    id UUID NOT NULL PRIMARY KEY,
    organisation_id UUID NOT NULL,
    kind BIGINT NOT NULL,
    subject_id UUID NOT NULL,
    data TEXT,
    -- Attempts begun.
    attempt BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    lease_until BIGINT,
    lease_owner UUID,
    created_at BIGINT NOT NULL,
    CHECK ((lease_until IS NULL) = (lease_owner IS NULL))
) @TABLE;
CREATE INDEX jobs_due ON jobs (kind, due_at) WHERE lease_until IS NULL;
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX jobs_subject ON jobs (kind, subject_id);
