-- The strategies for a token's window: what a breaker keeps back, and the row that the payer reads by itself.

-- migrate:up
ALTER TABLE outbox ADD COLUMN withheld_at timestamptz; -- the receiver was down: nothing was minted, nor sent since
GRANT SELECT ON split_payout_que TO gchostpay;

-- migrate:down
REVOKE SELECT ON split_payout_que FROM gchostpay;
ALTER TABLE outbox DROP COLUMN withheld_at;
