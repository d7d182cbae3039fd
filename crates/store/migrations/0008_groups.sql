-- What is known of a group beside its channel, which has the same id. A group asked for over the API is here first:
-- `asked_at` is when. `request_id` is the provider's name of what made the group.
CREATE TABLE groups (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    platform BIGINT NOT NULL,
    state BIGINT NOT NULL,
    subject TEXT NOT NULL,
    description TEXT,
    invite_link TEXT,
    join_approval_mode TEXT,
    suspended BOOLEAN NOT NULL,
    request_id TEXT,
    -- The group's channel was there before it was known to be the one asked for.
    replaced_by UUID,
    error TEXT,
    asked_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id),
    CHECK (state IN (4, 5, 6) OR asked_at IS NOT NULL),
    CHECK ((state = 4) = (error IS NOT NULL))
) @TABLE;
CREATE INDEX groups_request ON groups (account_id, request_id) WHERE request_id IS NOT NULL;
-- Those not settled yet (state below 4).
CREATE INDEX groups_open ON groups (account_id, state) WHERE state < 4;

INSERT INTO groups (organisation_id, id, account_id, platform, state, subject, suspended, created_at, updated_at)
SELECT organisation_id, id, account_id, platform, 5, display_name, FALSE, created_at, updated_at
FROM channels WHERE kind = 2 AND deleted_at IS NULL;

-- `changed_at` is the provider's time of the last news; NULL while there was none.
CREATE TABLE group_members (
    organisation_id UUID NOT NULL,
    channel_id UUID NOT NULL,
    contact_id UUID NOT NULL,
    kind BIGINT NOT NULL,
    value TEXT NOT NULL,
    role BIGINT NOT NULL,
    status BIGINT NOT NULL,
    -- The provider's id of the request to join.
    request_id TEXT,
    joined_at BIGINT,
    left_at BIGINT,
    changed_at BIGINT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, channel_id, contact_id)
) @TABLE;
