-- Payouts in tokens: what a nonce may take, and a transaction took, of a currency other than ether (docs/adr/usdt-payouts.md).

-- migrate:up
INSERT INTO ledger_accounts (account, kind, meaning) VALUES
    ('strayed_funds', 'asset', 'tokens that left the payout wallet otherwise than asked, until they are recovered');

-- The currency of what is paid; gas is ether's, and stays in `most`.
ALTER TABLE wallet_nonces ADD COLUMN currency text NOT NULL DEFAULT 'eth';
-- What any variant may take of that token; once final, what was taken. Nothing where ether is paid.
ALTER TABLE wallet_nonces ADD COLUMN token_most numeric(78, 0) NOT NULL DEFAULT 0 CHECK (token_most >= 0);
CREATE INDEX wallet_nonces_tokens ON wallet_nonces (address, chain_id, currency, allocated_at) INCLUDE (token_most)
    WHERE token_most > 0;

-- What the receipt's events say left the wallet.
ALTER TABLE tx_variants ADD COLUMN token_moved numeric(78, 0) NOT NULL DEFAULT 0 CHECK (token_moved >= 0);

-- migrate:down
ALTER TABLE tx_variants DROP COLUMN token_moved;
DROP INDEX wallet_nonces_tokens;
ALTER TABLE wallet_nonces DROP COLUMN token_most, DROP COLUMN currency;
-- Refused while a posting names it: a release that knows no tokens must not take this book over.
DELETE FROM ledger_accounts WHERE account = 'strayed_funds';
