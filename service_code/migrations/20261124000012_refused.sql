-- What the exchange refused and an operator has asked for once more: batches and conversions, as kinds of operators' actions
-- (docs/adr/dead-letters.md).

-- migrate:up
ALTER TABLE operator_actions DROP CONSTRAINT operator_actions_kind_check;
ALTER TABLE operator_actions ADD CONSTRAINT operator_actions_kind_check
    CHECK (kind IN ('payment', 'event', 'letter', 'message', 'wallet', 'batch', 'conversion'));
-- gcsplit lists them, with the dead.
CREATE INDEX payout_accumulation_refused ON payout_accumulation (created_at) WHERE conversion_status = 'failed';

-- migrate:down
DROP INDEX payout_accumulation_refused;
ALTER TABLE operator_actions DROP CONSTRAINT operator_actions_kind_check;
-- What was done stays written down; only what comes is of the older kinds.
ALTER TABLE operator_actions ADD CONSTRAINT operator_actions_kind_check
    CHECK (kind IN ('payment', 'event', 'letter', 'message', 'wallet')) NOT VALID;
