-- What gcsplit reads beside its own tables to say which payment stands where (`sluice reconcile`).

-- migrate:up
GRANT SELECT ON payout_batches, channel_access TO gcsplit;
CREATE INDEX payout_accumulation_unconverted ON payout_accumulation (created_at) WHERE conversion_status <> 'completed';
-- The orders of what was paid lately.
CREATE INDEX split_payout_hostpay_mined ON split_payout_hostpay (mined_at);

-- migrate:down
DROP INDEX split_payout_hostpay_mined, payout_accumulation_unconverted;
REVOKE SELECT ON payout_batches, channel_access FROM gcsplit;
