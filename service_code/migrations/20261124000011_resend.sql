-- Sending a payment's last message once more (docs/adr/resend.md): who did it, and for what it is not done.

-- migrate:up
ALTER TABLE operator_actions DROP CONSTRAINT operator_actions_verb_check;
ALTER TABLE operator_actions ADD CONSTRAINT operator_actions_verb_check
    CHECK (verb IN ('replay', 'archive', 'restore', 'mark', 'settle', 'resume', 'abandon', 'resend'));
GRANT INSERT ON operator_actions TO gcwebhook, gcsplit2, gchostpay1, gchostpay3, gcaccumulator, gcbatchprocessor;
CREATE POLICY operator_actions_written_by_who_resends ON operator_actions FOR INSERT
    TO gcwebhook, gcsplit2, gchostpay1, gchostpay3, gcaccumulator, gcbatchprocessor
    WITH CHECK (pg_has_role(current_user, service::name, 'member'));

-- What a payment came to that no message of this queue is to be sent for any more; NULL for one that stands still. Not
-- every role may see these tables.
CREATE FUNCTION payment_ended(payment text, message_queue text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT CASE
            WHEN message_queue = 'channel-access-queue' THEN (
                SELECT CASE WHEN granted_at IS NOT NULL THEN 'granted' WHEN refused_at IS NOT NULL THEN 'given_up' END
                FROM public.channel_access WHERE unique_id = payment)
            WHEN EXISTS (SELECT 1 FROM public.failed_transactions
                         WHERE unique_id = payment AND status IN ('dead', 'investigating')) THEN 'dead'
            WHEN EXISTS (SELECT 1 FROM public.split_payout_hostpay
                         WHERE unique_id = payment AND status <> 'failed') THEN 'signed'
            ELSE (SELECT 'closed' FROM public.split_payout_que
                  WHERE unique_id = payment AND status <> 'pending_hostpay')
        END
    $$;
REVOKE ALL ON FUNCTION payment_ended FROM PUBLIC;
GRANT EXECUTE ON FUNCTION payment_ended TO gcwebhook, gcsplit, gcsplit2, gchostpay1, gchostpay3, gcaccumulator,
    gcbatchprocessor;

-- migrate:down
DROP FUNCTION payment_ended;
DROP POLICY operator_actions_written_by_who_resends ON operator_actions;
REVOKE INSERT ON operator_actions FROM gcwebhook, gcsplit2, gchostpay1, gchostpay3, gcaccumulator, gcbatchprocessor;
ALTER TABLE operator_actions DROP CONSTRAINT operator_actions_verb_check;
-- What was done stays written down; only what comes is of the older verbs.
ALTER TABLE operator_actions ADD CONSTRAINT operator_actions_verb_check
    CHECK (verb IN ('replay', 'archive', 'restore', 'mark', 'settle', 'resume', 'abandon')) NOT VALID;
