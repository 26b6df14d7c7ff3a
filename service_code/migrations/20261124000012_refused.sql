-- What the exchange refused, and what operators do about it: batches and conversions as kinds of their actions, and a batch
-- that was paid by other means (docs/adr/dead-letters.md).

-- migrate:up
ALTER TABLE operator_actions DROP CONSTRAINT operator_actions_kind_check;
ALTER TABLE operator_actions ADD CONSTRAINT operator_actions_kind_check
    CHECK (kind IN ('payment', 'event', 'letter', 'message', 'wallet', 'batch', 'conversion'));
ALTER TABLE payout_batches DROP CONSTRAINT payout_batches_status_check;
ALTER TABLE payout_batches ADD CONSTRAINT payout_batches_status_check
    CHECK (status IN ('assembled', 'refused', 'sent', 'paid', 'failed', 'settled'));
-- gcsplit lists them, with the dead.
CREATE INDEX payout_accumulation_refused ON payout_accumulation (created_at) WHERE conversion_status = 'failed';

-- migrate:down
DROP INDEX payout_accumulation_refused;
-- Refused while a batch is settled: a release that does not know of it must not take this book over.
ALTER TABLE payout_batches DROP CONSTRAINT payout_batches_status_check;
ALTER TABLE payout_batches ADD CONSTRAINT payout_batches_status_check
    CHECK (status IN ('assembled', 'refused', 'sent', 'paid', 'failed'));
ALTER TABLE operator_actions DROP CONSTRAINT operator_actions_kind_check;
-- What was done stays written down; only what comes is of the older kinds.
ALTER TABLE operator_actions ADD CONSTRAINT operator_actions_kind_check
    CHECK (kind IN ('payment', 'event', 'letter', 'message', 'wallet')) NOT VALID;
