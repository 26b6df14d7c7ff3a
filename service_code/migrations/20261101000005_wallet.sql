-- The payer's tables. One row lock per wallet and chain; one nonce, one intent, one or more signed variants (DESIGN section 3).

-- migrate:up
CREATE TABLE wallets (
    address text NOT NULL,
    chain_id bigint NOT NULL,
    next_nonce bigint NOT NULL CHECK (next_nonce >= 0),
    stopped_at timestamptz,
    stopped_why text,
    PRIMARY KEY (address, chain_id)
);

CREATE TABLE split_payout_hostpay (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    unique_id text NOT NULL,
    generation integer NOT NULL,
    cn_api_id text NOT NULL,
    from_currency text NOT NULL,
    from_network text NOT NULL,
    from_amount numeric(78, 0) NOT NULL CHECK (from_amount > 0),
    payin_address text NOT NULL,
    status text NOT NULL CHECK (status IN ('signed', 'broadcast', 'completed', 'failed')),
    wallet text NOT NULL,
    chain_id bigint NOT NULL,
    nonce bigint NOT NULL,
    tx_hash text NOT NULL,                -- the latest signed variant, then the mined one
    block_number bigint,
    block_hash text,
    gas_used numeric(78, 0),
    gas_price numeric(78, 0),
    error_code text,
    signed_at timestamptz NOT NULL,
    broadcast_at timestamptz,
    mined_at timestamptz,
    final_at timestamptz,
    UNIQUE (unique_id, generation),
    UNIQUE (wallet, chain_id, nonce)
);
-- The rule that no payment is paid twice: a second row only where the chain has settled that the first never will be.
CREATE UNIQUE INDEX split_payout_hostpay_one_open ON split_payout_hostpay (unique_id) WHERE status <> 'failed';

CREATE TABLE wallet_nonces (
    address text NOT NULL,
    chain_id bigint NOT NULL,
    nonce bigint NOT NULL,
    intent text NOT NULL CHECK (intent IN ('payout', 'fill')), -- 'fill': abandoned, closed by a transfer to oneself
    unique_id text NOT NULL,
    value numeric(78, 0) NOT NULL CHECK (value >= 0),
    most numeric(78, 0) NOT NULL DEFAULT 0, -- what any variant may take, gas included; once final, what was taken
    state text NOT NULL CHECK (state IN ('open', 'mined', 'foreign')),
    allocated_at timestamptz NOT NULL,
    closed_at timestamptz,
    final_at timestamptz,
    PRIMARY KEY (address, chain_id, nonce),
    FOREIGN KEY (address, chain_id) REFERENCES wallets (address, chain_id)
);
CREATE INDEX wallet_nonces_open ON wallet_nonces (address, chain_id, nonce) WHERE state = 'open';
CREATE INDEX wallet_nonces_unfinal ON wallet_nonces (address, chain_id, nonce) WHERE state = 'mined' AND final_at IS NULL;
CREATE INDEX wallet_nonces_spent ON wallet_nonces (address, chain_id, allocated_at) INCLUDE (most);

CREATE TABLE tx_variants (
    tx_hash text PRIMARY KEY,
    address text NOT NULL,
    chain_id bigint NOT NULL,
    nonce bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('payout', 'fill')),
    raw bytea NOT NULL,
    recipient text NOT NULL,
    value numeric(78, 0) NOT NULL CHECK (value >= 0),
    gas_limit bigint NOT NULL,
    max_fee numeric(78, 0) NOT NULL,
    max_priority_fee numeric(78, 0) NOT NULL,
    data text NOT NULL,
    signed_at timestamptz NOT NULL,
    broadcast_at timestamptz,
    mined_block bigint,
    mined_block_hash text,
    receipt_status integer,
    gas_used numeric(78, 0),
    gas_price numeric(78, 0),
    FOREIGN KEY (address, chain_id, nonce) REFERENCES wallet_nonces (address, chain_id, nonce)
);
CREATE INDEX tx_variants_nonce ON tx_variants (address, chain_id, nonce);

GRANT SELECT, INSERT, UPDATE ON wallets, split_payout_hostpay, wallet_nonces, tx_variants TO gchostpay;
GRANT SELECT ON split_payout_hostpay TO gcwebhook, gcsplit;
GRANT SELECT ON wallet_nonces, tx_variants TO gcwebhook;

-- migrate:down
DROP TABLE tx_variants, wallet_nonces, split_payout_hostpay, wallets;
