-- The threshold payout (seeds/002; docs/adr/threshold-payout.md): payments that are gathered until they are worth paying out.

-- migrate:up
DO $$
DECLARE service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['gcaccumulator', 'gcsplit2', 'gcbatchprocessor', 'gcmicrobatchprocessor'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = service) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN', service);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of the server was being migrated at the same moment
            END;
        END IF;
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA public TO gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor;
GRANT SELECT ON schema_migrations TO gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor;

-- Base units of USDT; stored when the payment is recorded, and never chosen again. NULL: split at once, as all before.
ALTER TABLE split_payout_request ADD COLUMN threshold_usdt numeric(78, 0) CHECK (threshold_usdt > 0);

-- The table as it was while a row was written with its conversion done: a database that has it keeps its rows.
CREATE TABLE IF NOT EXISTS payout_accumulation (
    unique_id text PRIMARY KEY,
    client_id bigint NOT NULL,            -- the channel
    client_wallet text NOT NULL,
    payout_currency text NOT NULL,
    payout_network text NOT NULL,
    currency text NOT NULL,               -- of what is held
    accumulated_eth numeric(78, 0) NOT NULL CHECK (accumulated_eth > 0), -- base units, after the fee
    accumulated_usdt numeric(78, 0) NOT NULL,                            -- base units
    eth_to_usdt_rate numeric NOT NULL,
    created_at timestamptz NOT NULL
);
ALTER TABLE payout_accumulation
    ALTER COLUMN accumulated_usdt DROP NOT NULL,
    ALTER COLUMN eth_to_usdt_rate DROP NOT NULL,
    ADD COLUMN conversion_status varchar(50) NOT NULL DEFAULT 'pending'
        CHECK (conversion_status IN ('pending', 'completed', 'failed')),
    ADD COLUMN conversion_attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN last_conversion_attempt timestamptz,
    ADD COLUMN converted_at timestamptz,
    ADD COLUMN too_small boolean NOT NULL DEFAULT false,   -- the exchange converts nothing so small: gcmicrobatchprocessor does
    ADD COLUMN conversion_error text,
    ADD COLUMN threshold_usdt numeric(78, 0),
    ADD COLUMN batch_id text;
-- Rows of before were converted when they were written.
UPDATE payout_accumulation SET conversion_status = 'completed' WHERE accumulated_usdt IS NOT NULL;
ALTER TABLE payout_accumulation ADD CONSTRAINT payout_accumulation_converted CHECK (
    (conversion_status = 'completed') = (accumulated_usdt IS NOT NULL)
    AND (batch_id IS NULL OR conversion_status = 'completed')
);
CREATE INDEX idx_payout_accumulation_conversion_status ON payout_accumulation (conversion_status);
CREATE INDEX payout_accumulation_unpaid
    ON payout_accumulation (client_id, client_wallet, payout_currency, payout_network, currency) WHERE batch_id IS NULL;
CREATE INDEX payout_accumulation_batch ON payout_accumulation (batch_id);

CREATE TABLE payout_batches (
    batch_id text PRIMARY KEY,            -- the unique_id of its payout
    client_id bigint NOT NULL,
    client_wallet text NOT NULL,
    payout_currency text NOT NULL,
    payout_network text NOT NULL,
    currency text NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),     -- of what is held: the members' sum
    amount_usdt numeric(78, 0) NOT NULL CHECK (amount_usdt >= 0),
    threshold_usdt numeric(78, 0) NOT NULL,
    members integer NOT NULL CHECK (members > 0),
    status text NOT NULL CHECK (status IN ('assembled', 'refused', 'sent', 'paid', 'failed')),
    error_code text,
    error_message text,
    assembled_at timestamptz NOT NULL,
    sent_at timestamptz,
    closed_at timestamptz
);
-- Never two at a time for one client and currency that have not been sent yet.
CREATE UNIQUE INDEX payout_batches_one_unsent
    ON payout_batches (client_id, client_wallet, payout_currency, payout_network, currency)
    WHERE status IN ('assembled', 'refused');
CREATE INDEX payout_batches_open ON payout_batches (assembled_at) WHERE status <> 'paid';
ALTER TABLE payout_accumulation
    ADD CONSTRAINT payout_accumulation_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES payout_batches (batch_id);

-- A batch's payout is a row of split_payout_que like every staged one, and stands for many payments.
ALTER TABLE split_payout_que DROP CONSTRAINT split_payout_que_unique_id_fkey;

INSERT INTO ledger_accounts (account, kind, meaning) VALUES
    ('accumulated_funds', 'liability', 'clients'' shares that wait for their threshold');
-- What rows of before hold enters the ledger here.
INSERT INTO ledger_postings (entry_key, kind, unique_id, reference, posted_at)
    SELECT 'opening:' || unique_id, 'opening', unique_id, 'accumulated before the ledger', created_at
    FROM payout_accumulation ON CONFLICT DO NOTHING;
INSERT INTO ledger_entries (entry_key, account, currency, amount)
    SELECT 'opening:' || unique_id, line.account, currency, line.sign * accumulated_eth
    FROM payout_accumulation,
        (VALUES ('processor_receivable', 1), ('accumulated_funds', -1)) AS line (account, sign)
    ON CONFLICT DO NOTHING;

GRANT SELECT ON split_payout_request, split_payout_que TO gcaccumulator;
GRANT SELECT, INSERT ON payout_accumulation, failed_transactions TO gcaccumulator;
GRANT SELECT, UPDATE ON payout_accumulation TO gcsplit2, gcbatchprocessor, gcmicrobatchprocessor;
GRANT SELECT, INSERT, UPDATE ON payout_batches TO gcbatchprocessor;
GRANT SELECT ON payout_batches TO gcsplit2, gchostpay1, gcwebhook;
GRANT SELECT, UPDATE ON payout_batches TO gcmicrobatchprocessor;
GRANT SELECT, INSERT ON split_payout_que TO gcbatchprocessor;
GRANT SELECT ON split_payout_que TO gcmicrobatchprocessor;
GRANT SELECT ON payout_accumulation TO gcsplit, gcwebhook;
GRANT SELECT ON ledger_accounts, ledger_balances TO gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor;
GRANT SELECT, INSERT ON ledger_postings, ledger_entries TO gcaccumulator, gcbatchprocessor;
GRANT SELECT, INSERT, UPDATE ON outbox TO gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor;
CREATE POLICY outbox_seen_by_threshold ON outbox FOR SELECT
    TO gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor USING (true);
CREATE POLICY outbox_written_by_its_threshold ON outbox
    TO gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor
    USING (pg_has_role(current_user, service::name, 'member'));
GRANT SELECT, INSERT ON dead_letters TO gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor;

-- migrate:down
REVOKE ALL ON dead_letters, outbox, ledger_postings, ledger_entries, ledger_accounts, ledger_balances,
    split_payout_request, split_payout_que, failed_transactions FROM gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor;
DROP POLICY outbox_written_by_its_threshold ON outbox;
DROP POLICY outbox_seen_by_threshold ON outbox;
DELETE FROM ledger_accounts WHERE account = 'accumulated_funds'; -- refused while money is or was there
ALTER TABLE split_payout_que ADD CONSTRAINT split_payout_que_unique_id_fkey
    FOREIGN KEY (unique_id) REFERENCES split_payout_request (unique_id);
DROP TABLE payout_accumulation, payout_batches;
ALTER TABLE split_payout_request DROP COLUMN threshold_usdt;
REVOKE SELECT ON schema_migrations FROM gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor;
REVOKE USAGE ON SCHEMA public FROM gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor;
