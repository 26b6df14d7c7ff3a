-- The registry of clients (seeds/000, GCRegister; docs/adr/registrations.md).

-- migrate:up
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'gcregister') THEN
        BEGIN
            CREATE ROLE gcregister LOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of the server was being migrated at the same moment
        END;
    END IF;
END $$;
GRANT USAGE ON SCHEMA public TO gcregister;
GRANT SELECT ON schema_migrations TO gcregister;

-- What each registration asked for, and what became of it.
CREATE TABLE registrations (
    registration_id text PRIMARY KEY,     -- made from the data under our key: a repeat has the same one
    channel_id bigint NOT NULL,
    client_wallet text NOT NULL,
    payout_currency text NOT NULL,
    payout_network text NOT NULL,
    payout_strategy text NOT NULL CHECK (payout_strategy IN ('instant', 'threshold')),
    threshold_usdt numeric(78, 0) CHECK (threshold_usdt > 0),     -- base units
    invited_at timestamptz NOT NULL,      -- when its invitation was issued: a later one may change what an earlier one said
    mode text NOT NULL CHECK (mode IN ('sync', 'queue')),
    status text NOT NULL CHECK (status IN ('submitted', 'registered', 'refused')),
    code text,
    why text,
    received_at timestamptz NOT NULL,
    closed_at timestamptz,
    CHECK ((payout_strategy = 'threshold') = (threshold_usdt IS NOT NULL)),
    CHECK ((status = 'submitted') = (closed_at IS NULL))
);
CREATE INDEX registrations_submitted ON registrations (received_at) WHERE status = 'submitted';
CREATE INDEX registrations_channel ON registrations (channel_id);

-- The clients as they are now.
CREATE TABLE main_clients_database (
    channel_id bigint PRIMARY KEY,
    client_wallet text NOT NULL,
    payout_currency text NOT NULL,
    payout_network text NOT NULL,
    payout_strategy text NOT NULL CHECK (payout_strategy IN ('instant', 'threshold')),
    threshold_usdt numeric(78, 0) CHECK (threshold_usdt > 0),
    invited_at timestamptz NOT NULL,
    registration_id text NOT NULL REFERENCES registrations (registration_id),
    registered_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK ((payout_strategy = 'threshold') = (threshold_usdt IS NOT NULL))
);

GRANT SELECT, INSERT, UPDATE ON registrations, main_clients_database TO gcregister;
GRANT SELECT, INSERT, UPDATE ON outbox TO gcregister;
CREATE POLICY outbox_written_by_gcregister ON outbox TO gcregister   -- and no other row seen: strangers talk to it
    USING (pg_has_role(current_user, service::name, 'member'));
GRANT INSERT, SELECT (fingerprint) ON dead_letters TO gcregister;    -- a repeat is known by the fingerprint
CREATE POLICY dead_letters_of_gcregister ON dead_letters TO gcregister
    USING (pg_has_role(current_user, service::name, 'member'));

-- migrate:down
DROP POLICY dead_letters_of_gcregister ON dead_letters;
REVOKE ALL ON dead_letters, outbox FROM gcregister;
DROP POLICY outbox_written_by_gcregister ON outbox;
DROP TABLE main_clients_database, registrations;
REVOKE SELECT ON schema_migrations FROM gcregister;
REVOKE USAGE ON SCHEMA public FROM gcregister;
