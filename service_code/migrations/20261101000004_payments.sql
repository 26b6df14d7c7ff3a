-- A payment's rows, by the documents' names (seeds/000 section 3; DECISIONS 4).

-- migrate:up
CREATE TABLE webhook_events (
    event_key text PRIMARY KEY,           -- 'ipn:<payment_id>' or 'redirect:<unique_id>'
    source text NOT NULL CHECK (source IN ('ipn', 'redirect')),
    payment_id text,
    unique_id text NOT NULL,
    currency text NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    notice_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX webhook_events_unique_id ON webhook_events (unique_id);

CREATE TABLE split_payout_request (
    unique_id text PRIMARY KEY,
    source_event text NOT NULL REFERENCES webhook_events (event_key),
    user_id bigint NOT NULL,
    channel_id bigint NOT NULL,
    subscription_days integer NOT NULL,
    currency text NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    client_wallet text NOT NULL,
    payout_currency text NOT NULL,
    payout_network text NOT NULL,
    received_at timestamptz NOT NULL,
    split_tries integer NOT NULL DEFAULT 1,
    split_queued_at timestamptz NOT NULL,
    split_done boolean NOT NULL DEFAULT false -- the sweeper need not look again
);
CREATE INDEX split_payout_request_open ON split_payout_request (split_queued_at) WHERE NOT split_done;

CREATE TABLE channel_access (
    unique_id text PRIMARY KEY REFERENCES split_payout_request (unique_id),
    queued_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 1,
    invite_link text,
    granted_at timestamptz,
    refused_at timestamptz                -- the Bot API will never do it: a dead letter says why
);
CREATE INDEX channel_access_open ON channel_access (queued_at) WHERE granted_at IS NULL AND refused_at IS NULL;

CREATE TABLE split_payout_que (
    unique_id text PRIMARY KEY REFERENCES split_payout_request (unique_id),
    generation integer NOT NULL DEFAULT 1, -- 1, then one more at each replay
    cn_api_id text NOT NULL UNIQUE,
    from_currency text NOT NULL,
    from_network text NOT NULL,
    from_amount numeric(78, 0) NOT NULL CHECK (from_amount > 0),
    platform_amount numeric(78, 0) NOT NULL CHECK (platform_amount >= 0),
    client_percent integer NOT NULL CHECK (client_percent BETWEEN 1 AND 100),
    payin_address text NOT NULL,
    to_currency text NOT NULL,
    to_network text NOT NULL,
    to_amount text NOT NULL,
    payout_address text NOT NULL,
    valid_until timestamptz,
    status text NOT NULL CHECK (status IN ('pending_hostpay', 'completed', 'dead')),
    created_at timestamptz NOT NULL,
    pending_since timestamptz NOT NULL,
    closed_at timestamptz
);
CREATE INDEX split_payout_que_pending ON split_payout_que (pending_since) WHERE status = 'pending_hostpay';
CREATE INDEX split_payout_que_dead ON split_payout_que (closed_at) WHERE status = 'dead';

CREATE TABLE failed_transactions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    unique_id text NOT NULL,
    generation integer NOT NULL,          -- the n of the ledger's dead:<unique_id>:<n>
    stage text NOT NULL CHECK (stage IN ('split', 'hostpay')),
    error_code text NOT NULL,
    error_message text NOT NULL,
    cn_api_id text,
    currency text NOT NULL,
    amount numeric(78, 0) NOT NULL,
    from_account text NOT NULL,           -- where the money stood before it went to dead_payouts
    status text NOT NULL CHECK (status IN ('dead', 'replayed', 'paid_late')),
    failed_at timestamptz NOT NULL,
    closed_at timestamptz,
    UNIQUE (unique_id, generation)
);
CREATE INDEX failed_transactions_open ON failed_transactions (failed_at) WHERE status = 'dead';

GRANT SELECT, INSERT ON webhook_events TO gcwebhook;
GRANT SELECT, INSERT, UPDATE ON split_payout_request, channel_access TO gcwebhook;
GRANT SELECT ON split_payout_que, failed_transactions TO gcwebhook;
GRANT SELECT ON split_payout_request TO gcsplit;
GRANT SELECT, INSERT, UPDATE ON split_payout_que, failed_transactions TO gcsplit;

-- migrate:down
DROP TABLE failed_transactions, split_payout_que, channel_access, split_payout_request, webhook_events;
