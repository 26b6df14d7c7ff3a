-- The sweeper asks each minute for the payments that came in lately (gcsplit/sides.py).

-- migrate:up
CREATE INDEX split_payout_request_received ON split_payout_request (received_at);

-- migrate:down
DROP INDEX split_payout_request_received;
