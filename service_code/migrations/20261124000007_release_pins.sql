-- Which revision of a service a payment goes to while a release is tried (docs/adr/release-canary.md).

-- migrate:up
-- Written once and never changed: a payment moves only where a revision's role does.
CREATE TABLE release_pins (
    unique_id text NOT NULL,
    service text NOT NULL,                -- who is met
    revision text NOT NULL,               -- the one that was tried, or 'stable': whatever has that role
    pinned_by text NOT NULL,              -- the service that has chosen
    pinned_at timestamptz NOT NULL,
    PRIMARY KEY (unique_id, service)
);
CREATE INDEX release_pins_lately ON release_pins (service, pinned_at);
-- The pins that a message goes by, {service: revision}; nothing where no release was tried. An older release writes
-- none, and sends what it finds unsent to the base URL.
ALTER TABLE outbox ADD COLUMN pins jsonb;

-- Whether any message of a payment went into one of these queues: not every role may see them.
CREATE FUNCTION payment_met(payment text, queues text[]) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'SELECT EXISTS (SELECT 1 FROM public.outbox WHERE unique_id = payment AND queue = ANY (queues))';
REVOKE ALL ON FUNCTION payment_met FROM PUBLIC;
GRANT EXECUTE ON FUNCTION payment_met TO gcwebhook, gcsplit, gchostpay, gchostpay1, gchostpay3, gchostpay4,
    gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor, gcregister;

GRANT SELECT, INSERT ON release_pins TO gcwebhook, gcsplit, gchostpay, gchostpay1, gchostpay3, gchostpay4,
    gcaccumulator, gcsplit2, gcbatchprocessor, gcmicrobatchprocessor, gcregister;
ALTER TABLE release_pins ENABLE ROW LEVEL SECURITY;
CREATE POLICY release_pins_seen ON release_pins FOR SELECT
    TO gcwebhook, gcsplit, gchostpay, gchostpay1, gchostpay3, gchostpay4, gcaccumulator, gcsplit2, gcbatchprocessor,
        gcmicrobatchprocessor
    USING (true);
CREATE POLICY release_pins_seen_by_gcregister ON release_pins FOR SELECT TO gcregister   -- strangers talk to it
    USING (pg_has_role(current_user, pinned_by::name, 'member'));
CREATE POLICY release_pins_written_by_their_service ON release_pins FOR INSERT
    TO gcwebhook, gcsplit, gchostpay, gchostpay1, gchostpay3, gchostpay4, gcaccumulator, gcsplit2, gcbatchprocessor,
        gcmicrobatchprocessor, gcregister
    WITH CHECK (pg_has_role(current_user, pinned_by::name, 'member'));

-- migrate:down
DROP FUNCTION payment_met;
ALTER TABLE outbox DROP COLUMN pins;
DROP TABLE release_pins;
