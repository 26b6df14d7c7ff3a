-- failed_transactions as seeds/004 wants it: 22 columns, 7 indexes (docs/adr/failed-transactions.md). Rows of before stay.

-- migrate:up
ALTER TABLE failed_transactions
    ADD COLUMN service text NOT NULL DEFAULT 'gcsplit',        -- who recorded it
    ADD COLUMN network text,
    ADD COLUMN payin_address text,
    ADD COLUMN retryable boolean NOT NULL DEFAULT true,        -- false: it can never be paid like this, look before a retry
    ADD COLUMN attempt_count integer NOT NULL DEFAULT 0,       -- the payment's own failures
    ADD COLUMN first_attempt_at timestamptz,
    ADD COLUMN last_attempt_at timestamptz,
    ADD COLUMN recovery_tx_hash text,                          -- a payment made by other means
    ADD COLUMN note text,                                      -- an operator's
    DROP CONSTRAINT failed_transactions_status_check,
    ADD CONSTRAINT failed_transactions_status_check
        CHECK (status IN ('dead', 'investigating', 'replayed', 'paid_late', 'recovered'));
-- Beside the primary key and the one death of a generation:
DROP INDEX failed_transactions_open;
CREATE INDEX failed_transactions_open ON failed_transactions (failed_at) WHERE status IN ('dead', 'investigating');
CREATE INDEX failed_transactions_retryable ON failed_transactions (failed_at)
    WHERE status IN ('dead', 'investigating') AND retryable;
CREATE INDEX failed_transactions_code ON failed_transactions (error_code, failed_at);
CREATE INDEX failed_transactions_status ON failed_transactions (status, failed_at);
CREATE INDEX failed_transactions_order ON failed_transactions (cn_api_id);

INSERT INTO ledger_accounts (account, kind, meaning) VALUES
    ('settled_outside', 'liability', 'dead payments that were paid by other means, as an operator has recorded')
    ON CONFLICT DO NOTHING;

-- Whoever signs looks for a death of the payout first; gchostpay3 buries what has failed three times by itself.
GRANT SELECT ON failed_transactions TO gchostpay, gchostpay1;
GRANT SELECT, INSERT, UPDATE ON failed_transactions TO gchostpay3;
GRANT SELECT ON split_payout_que TO gchostpay3;
GRANT UPDATE (status, closed_at) ON split_payout_que TO gchostpay3;

-- migrate:down
REVOKE ALL ON split_payout_que, failed_transactions FROM gchostpay3;
REVOKE UPDATE (status, closed_at) ON split_payout_que FROM gchostpay3;
REVOKE SELECT ON failed_transactions FROM gchostpay, gchostpay1;
-- The account stays: the ledger may have entries in it, and they are never deleted.
DROP INDEX failed_transactions_order, failed_transactions_status, failed_transactions_code,
    failed_transactions_retryable, failed_transactions_open;
UPDATE failed_transactions SET status = CASE status WHEN 'recovered' THEN 'replayed' ELSE 'dead' END
    WHERE status IN ('recovered', 'investigating');
ALTER TABLE failed_transactions
    DROP CONSTRAINT failed_transactions_status_check,
    ADD CONSTRAINT failed_transactions_status_check CHECK (status IN ('dead', 'replayed', 'paid_late')),
    DROP COLUMN service, DROP COLUMN network, DROP COLUMN payin_address, DROP COLUMN retryable,
    DROP COLUMN attempt_count, DROP COLUMN first_attempt_at, DROP COLUMN last_attempt_at,
    DROP COLUMN recovery_tx_hash, DROP COLUMN note;
CREATE INDEX failed_transactions_open ON failed_transactions (failed_at) WHERE status = 'dead';
