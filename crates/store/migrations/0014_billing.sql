-- What organisations pay for the use of this server. Amounts are in minor units: halalas.
CREATE TABLE billing_plans (
    id UUID NOT NULL PRIMARY KEY,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    amount BIGINT NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    -- Months that one payment is good for.
    months BIGINT NOT NULL CHECK (months > 0),
    archived_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) @TABLE;
CREATE UNIQUE INDEX billing_plans_slug ON billing_plans (slug);

CREATE TABLE subscriptions (
    organisation_id UUID NOT NULL PRIMARY KEY,
    -- What was paid for last; NULL: nothing yet.
    plan_id UUID,
    -- NULL: it need not pay.
    paid_until BIGINT,
    -- The day of the month that periods end on, where the month has it.
    anchor_day BIGINT,
    -- As people were last told; what it is by the clock may be another.
    standing BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) @TABLE;
CREATE INDEX subscriptions_ending ON subscriptions (paid_until) WHERE paid_until IS NOT NULL;

CREATE TABLE invoice_numbers (
    year BIGINT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
) @TABLE;

CREATE TABLE invoices (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    -- Of all organisations together.
    number TEXT NOT NULL,
    plan_id UUID NOT NULL,
    -- The plan as it was then.
    plan_name TEXT NOT NULL,
    amount BIGINT NOT NULL,
    currency TEXT NOT NULL,
    months BIGINT NOT NULL,
    status BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    -- What was paid for.
    period_from BIGINT,
    period_to BIGINT,
    paid_at BIGINT,
    -- What went back of it.
    refunded BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id),
    CHECK ((status IN (2, 4)) = (paid_at IS NOT NULL)),
    CHECK ((paid_at IS NULL) = (period_to IS NULL)),
    CHECK (refunded >= 0 AND refunded <= amount)
) @TABLE;
CREATE UNIQUE INDEX invoices_number ON invoices (number);
CREATE UNIQUE INDEX invoices_open ON invoices (organisation_id) WHERE status = 1;

-- Attempts to pay an invoice.
CREATE TABLE payments (
    organisation_id UUID NOT NULL,
    id UUID NOT NULL,
    invoice_id UUID NOT NULL,
    -- Our name of it at the gateway, and the gateway's own names.
    track_id TEXT NOT NULL,
    gateway_id TEXT,
    transaction_id TEXT,
    amount BIGINT NOT NULL,
    status BIGINT NOT NULL,
    -- The gateway's last words.
    result TEXT,
    error TEXT,
    reference TEXT,
    authorisation TEXT,
    -- The customer's network address, and those of proxies.
    addresses TEXT NOT NULL,
    language BIGINT NOT NULL,
    -- When the gateway or the browser last spoke of it, and when the gateway was last asked.
    heard_at BIGINT,
    asked_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, id)
) @TABLE;
CREATE UNIQUE INDEX payments_track ON payments (track_id);
CREATE UNIQUE INDEX payments_gateway ON payments (gateway_id) WHERE gateway_id IS NOT NULL;
CREATE INDEX payments_transaction ON payments (transaction_id) WHERE transaction_id IS NOT NULL;
CREATE UNIQUE INDEX payments_id ON payments (id);
CREATE INDEX payments_invoice ON payments (organisation_id, invoice_id);

-- What was said of a payment. None of it is believed: the gateway is asked.
CREATE TABLE payment_notices (
    organisation_id UUID NOT NULL,
    payment_id UUID NOT NULL,
    -- Whatever is repeated has the same.
    notice_key TEXT NOT NULL,
    -- webhook, notification, return
    source TEXT NOT NULL,
    transaction_id TEXT,
    result TEXT,
    error TEXT,
    received_at BIGINT NOT NULL,
    -- Since then the gateway's answer to it is known.
    settled_at BIGINT,
    PRIMARY KEY (organisation_id, payment_id, notice_key)
) @TABLE;
