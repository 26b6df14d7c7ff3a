-- The double-entry ledger: docs/adr/ledger-accounts.md. Insert-only, balanced per posting and currency at commit.

-- migrate:up
CREATE TABLE ledger_accounts (
    account text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('asset', 'liability', 'income', 'expense')),
    meaning text NOT NULL
);
INSERT INTO ledger_accounts (account, kind, meaning) VALUES
    ('processor_receivable', 'asset', 'what the payment processor says it took for us'),
    ('unsplit_funds', 'liability', 'received, not yet split'),
    ('exchange_clearing', 'liability', 'promised to exchange orders and not yet paid in on chain'),
    ('platform_fees', 'income', 'the platform''s share'),
    ('rounding', 'income', 'the base unit that the division leaves over'),
    ('host_wallet', 'asset', 'change of the payout wallet by our own transactions'),
    ('gas_expense', 'expense', 'gas of every mined transaction of the wallet'),
    ('dead_payouts', 'liability', 'money of dead payments, until replay or refund');

CREATE TABLE ledger_postings (
    entry_key text PRIMARY KEY,
    kind text NOT NULL,
    unique_id text,
    reference text,
    posted_at timestamptz NOT NULL
);
CREATE INDEX ledger_postings_unique_id ON ledger_postings (unique_id);

CREATE TABLE ledger_entries (
    entry_key text NOT NULL REFERENCES ledger_postings (entry_key),
    account text NOT NULL REFERENCES ledger_accounts (account),
    currency text NOT NULL CHECK (currency = lower(currency)),
    amount numeric(78, 0) NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (entry_key, account, currency)
);
CREATE INDEX ledger_entries_account ON ledger_entries (account, currency) INCLUDE (amount);

CREATE FUNCTION ledger_posting_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM ledger_entries WHERE entry_key = NEW.entry_key) THEN
        RAISE EXCEPTION 'ledger posting % has no lines', NEW.entry_key USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION ledger_entries_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE unbalanced text;
BEGIN
    SELECT currency INTO unbalanced FROM ledger_entries WHERE entry_key = NEW.entry_key
        GROUP BY currency HAVING sum(amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger posting % does not balance in %', NEW.entry_key, unbalanced
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION ledger_is_insert_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is insert-only: post a reversal instead' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE CONSTRAINT TRIGGER ledger_posting_balances AFTER INSERT ON ledger_postings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_posting_balances();
CREATE CONSTRAINT TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entries_balance();
CREATE TRIGGER ledger_postings_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_insert_only();
CREATE TRIGGER ledger_entries_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_insert_only();

CREATE VIEW ledger_balances AS
    SELECT account, currency, sum(amount) AS balance FROM ledger_entries GROUP BY account, currency;

GRANT SELECT ON ledger_accounts, ledger_balances TO gcwebhook, gcsplit, gchostpay;
GRANT SELECT, INSERT ON ledger_postings, ledger_entries TO gcwebhook, gcsplit, gchostpay;

-- migrate:down
DROP VIEW ledger_balances;
DROP TABLE ledger_entries, ledger_postings, ledger_accounts;
DROP FUNCTION ledger_posting_balances(), ledger_entries_balance(), ledger_is_insert_only();
