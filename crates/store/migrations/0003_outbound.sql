-- The queue, made anew: lanes that know their head, priorities, scheduled messages. Messages that are queued now keep
-- their order.
DROP INDEX outbound_queue_lane;
DROP INDEX outbound_queue_due;
DROP INDEX outbound_queue_leased;
ALTER TABLE outbound_queue RENAME TO outbound_queue_1;

-- A message to send. `lease_until` is set while a sender works on attempt number `attempt`.
CREATE TABLE outbound_queue (
    organisation_id UUID NOT NULL,
    message_id UUID NOT NULL,
    account_id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    -- Whom the provider's limit for one recipient counts: the conversation, or the channel of a group.
    pair_id UUID NOT NULL,
    is_group BOOLEAN NOT NULL,
    -- 1 first.
    priority BIGINT NOT NULL,
    -- When somebody wants it sent. Until then it is in no lane.
    send_at BIGINT,
    -- Its place in the lane of its conversation.
    position UUID,
    -- Attempts begun, and those that ended in an error of this message alone.
    attempt BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    -- `due_at` of the head of a lane that nobody works on; NULL of every other message.
    ready_at BIGINT,
    lease_until BIGINT,
    lease_owner UUID,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, message_id),
    CHECK ((lease_until IS NULL) = (lease_owner IS NULL)),
    CHECK (ready_at IS NULL OR (lease_until IS NULL AND position IS NOT NULL)),
    CHECK (position IS NOT NULL OR send_at IS NOT NULL)
) @TABLE;
INSERT INTO outbound_queue (organisation_id, message_id, account_id, conversation_id, pair_id, is_group, priority,
    position, attempt, failures, due_at, ready_at, lease_until, lease_owner, created_at)
SELECT q.organisation_id, q.message_id, q.account_id, q.conversation_id,
    CASE WHEN c.kind = 2 THEN c.id ELSE q.conversation_id END, c.kind = 2, 2,
    q.message_id, q.attempt, 0, q.due_at,
    CASE WHEN q.lease_until IS NULL AND NOT EXISTS (SELECT 1 FROM outbound_queue_1 p
        WHERE p.conversation_id = q.conversation_id AND p.message_id < q.message_id) THEN q.due_at END,
    q.lease_until, q.lease_owner, q.created_at
FROM outbound_queue_1 q
JOIN conversations v ON v.organisation_id = q.organisation_id AND v.id = q.conversation_id
JOIN channels c ON c.organisation_id = v.organisation_id AND c.id = v.channel_id;
DROP TABLE outbound_queue_1;
CREATE INDEX outbound_queue_lane ON outbound_queue (conversation_id, position) WHERE position IS NOT NULL;
CREATE INDEX outbound_queue_ready ON outbound_queue (account_id, priority, ready_at) WHERE ready_at IS NOT NULL;
CREATE INDEX outbound_queue_account ON outbound_queue (account_id, priority, position) WHERE position IS NOT NULL;
CREATE INDEX outbound_queue_scheduled ON outbound_queue (send_at) WHERE position IS NULL;
CREATE INDEX outbound_queue_leased ON outbound_queue (lease_until) WHERE lease_until IS NOT NULL;

-- How fast an account sends, and whether its provider takes anything now.
CREATE TABLE outbound_accounts (
    organisation_id UUID NOT NULL,
    account_id UUID NOT NULL,
    next_at BIGINT NOT NULL,
    -- Errors of the provider in a row.
    failures BIGINT NOT NULL,
    hold_until BIGINT NOT NULL,
    hold_reason TEXT,
    PRIMARY KEY (organisation_id, account_id)
) @TABLE;

-- What each recipient was sent lately, as far as it still counts.
CREATE TABLE outbound_pairs (
    organisation_id UUID NOT NULL,
    account_id UUID NOT NULL,
    pair_id UUID NOT NULL,
    full_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    blocked_until BIGINT NOT NULL,
    strikes BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, account_id, pair_id)
) @TABLE;

-- Messages that a person has to look at: failed ones, and uncertain ones from `listed_at` on.
CREATE TABLE dead_letters (
    organisation_id UUID NOT NULL,
    message_id UUID NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('failed', 'uncertain')),
    listed_at BIGINT NOT NULL,
    announced BOOLEAN NOT NULL,
    PRIMARY KEY (organisation_id, message_id)
) @TABLE;
CREATE INDEX dead_letters_listed ON dead_letters (organisation_id, listed_at, message_id);
CREATE INDEX dead_letters_unannounced ON dead_letters (listed_at) WHERE NOT announced;

-- What the provider says the number may send in a second.
ALTER TABLE accounts ADD COLUMN messages_per_second BIGINT;
