-- The staged payout (seeds/001): which way a payment is paid out, and what gchostpay1 knows of the staged ones.

-- migrate:up
DO $$
DECLARE service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['gchostpay1', 'gchostpay3'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = service) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN', service);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of the server was being migrated at the same moment
            END;
        END IF;
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA public TO gchostpay1, gchostpay3;
GRANT SELECT ON schema_migrations TO gchostpay1, gchostpay3;

-- Chosen once, at the split, and never again for this payment. Rows of before were all paid in a single stage.
ALTER TABLE split_payout_que ADD COLUMN way text NOT NULL DEFAULT 'single' CHECK (way IN ('single', 'staged'));

CREATE TABLE hostpay_stages (
    unique_id text NOT NULL,
    generation integer NOT NULL,
    state text NOT NULL CHECK (state IN ('checking', 'executing', 'paid', 'refused', 'failed')),
    cn_api_id text NOT NULL,
    currency text NOT NULL,
    network text NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    payin_address text NOT NULL,
    exchange_status text,                 -- as the exchange said it last
    tx_hash text,
    error_code text,                      -- of the states refused and failed
    error_why text,
    accepted_at timestamptz NOT NULL,
    checked_at timestamptz,
    closed_at timestamptz,
    PRIMARY KEY (unique_id, generation)
);
CREATE INDEX hostpay_stages_open ON hostpay_stages (accepted_at) WHERE state IN ('checking', 'executing');

GRANT SELECT, INSERT, UPDATE ON hostpay_stages TO gchostpay1;
GRANT SELECT ON hostpay_stages TO gcsplit, gcwebhook;
GRANT SELECT ON split_payout_hostpay TO gchostpay1;
GRANT SELECT, INSERT, UPDATE ON wallets, split_payout_hostpay, wallet_nonces, tx_variants TO gchostpay3;
GRANT SELECT ON ledger_accounts, ledger_balances TO gchostpay1, gchostpay3;
GRANT SELECT, INSERT ON ledger_postings, ledger_entries TO gchostpay3;
GRANT SELECT, INSERT, UPDATE ON outbox TO gchostpay1, gchostpay3;
CREATE POLICY outbox_seen_by_stages ON outbox FOR SELECT TO gchostpay1, gchostpay3 USING (true);
CREATE POLICY outbox_written_by_its_stage ON outbox TO gchostpay1, gchostpay3
    USING (pg_has_role(current_user, service::name, 'member'));
GRANT SELECT, INSERT ON dead_letters TO gchostpay1, gchostpay3;

-- migrate:down
REVOKE ALL ON dead_letters, outbox, ledger_postings, ledger_entries, ledger_accounts, ledger_balances
    FROM gchostpay1, gchostpay3;
DROP POLICY outbox_written_by_its_stage ON outbox;
DROP POLICY outbox_seen_by_stages ON outbox;
REVOKE ALL ON wallets, split_payout_hostpay, wallet_nonces, tx_variants FROM gchostpay1, gchostpay3;
DROP TABLE hostpay_stages;
ALTER TABLE split_payout_que DROP COLUMN way;
REVOKE SELECT ON schema_migrations FROM gchostpay1, gchostpay3;
REVOKE USAGE ON SCHEMA public FROM gchostpay1, gchostpay3;
