-- Addresses that are told of events. `secrets` is sealed. `next_seq` is the first event not yet attempted: what comes
-- before is delivered, or has a row in `webhook_deliveries` that says what becomes of it.
CREATE TABLE webhook_endpoints (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    url TEXT NOT NULL,
    description TEXT,
    events TEXT NOT NULL,
    metadata TEXT NOT NULL,
    secrets BYTEA NOT NULL,
    enabled BOOLEAN NOT NULL,
    disabled_reason BIGINT,
    disabled_at BIGINT,
    next_seq BIGINT NOT NULL,
    -- Grows with every change that whoever delivers meanwhile must not undo.
    version BIGINT NOT NULL,
    -- Attempts that failed since the last one that did not, and when the first of them was.
    failures BIGINT NOT NULL,
    failing_since BIGINT,
    -- Nothing is attempted before.
    hold_until BIGINT,
    -- When the next delivery that waits is due.
    retry_at BIGINT,
    last_success_at BIGINT,
    served_at BIGINT NOT NULL,
    lease_until BIGINT,
    lease_owner UUID,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id),
    CHECK ((lease_until IS NULL) = (lease_owner IS NULL)),
    CHECK ((failures = 0) = (failing_since IS NULL)),
    CHECK (enabled = FALSE OR disabled_reason IS NULL)
) @TABLE;
CREATE INDEX webhook_endpoints_leased ON webhook_endpoints (lease_until) WHERE lease_until IS NOT NULL;

-- One event that was attempted at one endpoint. `id` begins with the event's time. `attempts` are those of the present
-- round (a replay begins another); `log` has a line of JSON for each attempt of all rounds.
CREATE TABLE webhook_deliveries (
    organisation_id UUID NOT NULL,
    endpoint_id UUID NOT NULL,
    seq BIGINT NOT NULL,
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    status BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt_at BIGINT,
    log TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, endpoint_id, seq),
    CHECK ((status = 1) = (next_attempt_at IS NOT NULL))
) @TABLE;
CREATE UNIQUE INDEX webhook_deliveries_id ON webhook_deliveries (id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at)
    WHERE next_attempt_at IS NOT NULL;
CREATE INDEX webhook_deliveries_dead ON webhook_deliveries (endpoint_id, seq) WHERE status = 3;
