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
CREATE POLICY outbox_written_by_its_news ON outbox TO gchostpay4   -- and no other row seen: it stands open to anybody
    USING (pg_has_role(current_user, service::name, 'member'));

-- A letter is believed (gcsplit asks what the payer said of a payout): each service writes its own alone.
ALTER TABLE dead_letters ENABLE ROW LEVEL SECURITY;
CREATE POLICY dead_letters_seen ON dead_letters FOR SELECT
    TO gcwebhook, gcsplit, gchostpay, gchostpay1, gchostpay3, gcaccumulator, gcsplit2, gcbatchprocessor,
        gcmicrobatchprocessor, paynowwebhook, paynowworker
    USING (true);
CREATE POLICY dead_letters_written_by_their_service ON dead_letters FOR INSERT
    TO gcwebhook, gcsplit, gchostpay, gchostpay1, gchostpay3, gcaccumulator, gcsplit2, gcbatchprocessor,
        gcmicrobatchprocessor, paynowwebhook, paynowworker
    WITH CHECK (pg_has_role(current_user, service::name, 'member'));
GRANT INSERT, SELECT (fingerprint) ON dead_letters TO gchostpay4;  -- a repeat is known by the fingerprint
CREATE POLICY dead_letters_of_its_news ON dead_letters TO gchostpay4
    USING (pg_has_role(current_user, service::name, 'member'));

-- migrate:down
DROP POLICY dead_letters_of_its_news ON dead_letters;
DROP POLICY dead_letters_written_by_their_service ON dead_letters;
DROP POLICY dead_letters_seen ON dead_letters;
ALTER TABLE dead_letters DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON dead_letters, outbox FROM gchostpay4;
DROP POLICY outbox_written_by_its_news ON outbox;
REVOKE SELECT (unique_id, generation, wallet, chain_id, nonce) ON split_payout_hostpay FROM gchostpay4;
REVOKE SELECT (address, chain_id, nonce, state, final_at) ON wallet_nonces FROM gchostpay4;
REVOKE SELECT (tx_hash, address, chain_id, nonce, mined_block, mined_block_hash) ON tx_variants FROM gchostpay4;
ALTER TABLE split_payout_hostpay DROP COLUMN confirmations, DROP COLUMN tx_status;
DROP TABLE chain_news, chain_events;
REVOKE SELECT ON schema_migrations FROM gchostpay4;
REVOKE USAGE ON SCHEMA public FROM gchostpay4;
