-- One text to many people.
CREATE TABLE notifications (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    user_id UUID NOT NULL,
    -- Both with their variables filled in.
    subject TEXT,
    text TEXT NOT NULL,
    -- The name of the template they were made from.
    template TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;

-- A notification on its way to one recipient. Where `message_id` is set, the message says how it stands.
CREATE TABLE notification_legs (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    notification_id UUID NOT NULL,
    channel BIGINT NOT NULL,
    recipient TEXT NOT NULL,
    status BIGINT NOT NULL,
    message_id UUID,
    provider_id TEXT,
    error TEXT,
    -- Attempts begun.
    attempts BIGINT NOT NULL,
    retry_at BIGINT,
    sent_at BIGINT,
    failed_at BIGINT,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE INDEX notification_legs_of ON notification_legs (organisation_id, notification_id, id);

CREATE TABLE notification_templates (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    name TEXT NOT NULL,
    subject TEXT,
    text TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX notification_templates_name ON notification_templates (organisation_id, name);
