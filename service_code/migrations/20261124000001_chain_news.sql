-- The chain's webhook (gchostpay4): what was heard, for ever, and what the payer has seen on the chain since.

-- migrate:up
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'gchostpay4') THEN
        BEGIN
            CREATE ROLE gchostpay4 LOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of the server was being migrated at the same moment
        END;
    END IF;
END $$;
GRANT USAGE ON SCHEMA public TO gchostpay4;
GRANT SELECT ON schema_migrations TO gchostpay4;

CREATE TABLE chain_events (
    event_id text PRIMARY KEY,            -- the webhook's own, 'whevt_...': a repeat is known by it
    webhook_id text NOT NULL,
    kind text NOT NULL,
    created_at timestamptz NOT NULL,      -- as the event says
    received_at timestamptz NOT NULL,
    strangers integer NOT NULL            -- transactions in it that are not ours
);

CREATE TABLE chain_news (
    event_id text NOT NULL REFERENCES chain_events (event_id),
    tx_hash text NOT NULL,
    said text NOT NULL CHECK (said IN ('mined', 'removed', 'dropped')),
    unique_id text NOT NULL,
    generation integer NOT NULL,
    block_number bigint,                  -- as the event says
    asked boolean NOT NULL,               -- the payer was asked to look at the chain
    heard_at timestamptz NOT NULL,
    PRIMARY KEY (event_id, tx_hash, said)
);
CREATE INDEX chain_news_payment ON chain_news (unique_id);

-- Written by the payer alone, from what it has seen itself. Null: nothing was mined since these columns exist.
ALTER TABLE split_payout_hostpay
    ADD COLUMN tx_status text CHECK (tx_status IN ('success', 'reverted', 'removed')),
    ADD COLUMN confirmations bigint CHECK (confirmations > 0);

GRANT SELECT, INSERT ON chain_events, chain_news TO gchostpay4;
GRANT SELECT ON chain_events, chain_news TO gcwebhook;
GRANT SELECT (tx_hash, address, chain_id, nonce, mined_block, mined_block_hash) ON tx_variants TO gchostpay4;
GRANT SELECT (address, chain_id, nonce, state, final_at) ON wallet_nonces TO gchostpay4;
GRANT SELECT (unique_id, generation, wallet, chain_id, nonce) ON split_payout_hostpay TO gchostpay4;
GRANT SELECT, INSERT, UPDATE ON outbox TO gchostpay4;
CREATE POLICY outbox_seen_by_news ON outbox FOR SELECT TO gchostpay4 USING (true);
CREATE POLICY outbox_written_by_its_news ON outbox TO gchostpay4
    USING (pg_has_role(current_user, service::name, 'member'));
GRANT SELECT, INSERT ON dead_letters TO gchostpay4;

-- migrate:down
REVOKE ALL ON dead_letters, outbox FROM gchostpay4;
DROP POLICY outbox_written_by_its_news ON outbox;
DROP POLICY outbox_seen_by_news ON outbox;
REVOKE SELECT (unique_id, generation, wallet, chain_id, nonce) ON split_payout_hostpay FROM gchostpay4;
REVOKE SELECT (address, chain_id, nonce, state, final_at) ON wallet_nonces FROM gchostpay4;
REVOKE SELECT (tx_hash, address, chain_id, nonce, mined_block, mined_block_hash) ON tx_variants FROM gchostpay4;
ALTER TABLE split_payout_hostpay DROP COLUMN confirmations, DROP COLUMN tx_status;
DROP TABLE chain_news, chain_events;
REVOKE SELECT ON schema_migrations FROM gchostpay4;
REVOKE USAGE ON SCHEMA public FROM gchostpay4;
