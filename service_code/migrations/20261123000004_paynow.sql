-- PayNow (seeds/003): its events, the wallets that they credit, and the outbox's rows for topics.

-- migrate:up
DO $$
DECLARE service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['paynowwebhook', 'paynowworker'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = service) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN', service);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of the server was being migrated at the same moment
            END;
        END IF;
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA public TO paynowwebhook, paynowworker;
GRANT SELECT ON schema_migrations TO paynowwebhook, paynowworker;

-- A row with an ordering key is for a topic, not for a queue: `queue` names the topic.
ALTER TABLE outbox ADD COLUMN ordering_key text;
ALTER TABLE outbox ADD COLUMN place bigint;              -- in the order of the commits of its key
ALTER TABLE outbox ADD COLUMN held_until timestamptz;    -- one publisher at a time has a key
CREATE SEQUENCE outbox_places;
CREATE INDEX outbox_unpublished ON outbox (service, queue, ordering_key, place)
    WHERE ordering_key IS NOT NULL AND sent_at IS NULL AND cancelled_at IS NULL;

INSERT INTO ledger_accounts (account, kind, meaning) VALUES
    ('points_issued', 'expense', 'points that were credited to users'),
    ('user_points', 'liability', 'points that users may spend, wallet_users has each one''s');

CREATE TABLE wallet_users (
    user_id text PRIMARY KEY,
    customer_id text UNIQUE,              -- as PayNow knows the user
    points numeric(78, 0) NOT NULL DEFAULT 0 CHECK (points >= 0),
    created_at timestamptz NOT NULL
);

CREATE TABLE paynow_events (
    event_id text PRIMARY KEY,
    kind text NOT NULL,
    user_id text,                         -- as the event names the user, if it does
    customer_id text NOT NULL,
    ordering_key text NOT NULL,
    message jsonb NOT NULL,               -- ids only, as it is published: no address of a person
    mode text NOT NULL CHECK (mode IN ('sync', 'queue')),
    status text NOT NULL CHECK (status IN ('queued', 'processed', 'failed', 'dead')),
    code text,                            -- of the states failed and dead
    why text,
    attempts integer NOT NULL DEFAULT 0,
    replays integer NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL,
    queued_at timestamptz NOT NULL,
    closed_at timestamptz
);
CREATE INDEX paynow_events_queued ON paynow_events (ordering_key, queued_at) WHERE status = 'queued';
CREATE INDEX paynow_events_unprocessed ON paynow_events (received_at) WHERE status IN ('failed', 'dead');

CREATE TABLE wallet_credits (
    credit_key text PRIMARY KEY,          -- 'order:<id>' or 'subscription:<id>:<period>': once, whatever event says it
    event_id text NOT NULL REFERENCES paynow_events (event_id),
    user_id text NOT NULL REFERENCES wallet_users (user_id),
    points numeric(78, 0) NOT NULL CHECK (points > 0),
    balance numeric(78, 0) NOT NULL CHECK (balance >= points),   -- of the wallet, with this credit
    credited_at timestamptz NOT NULL
);
CREATE INDEX wallet_credits_event ON wallet_credits (event_id);
CREATE INDEX wallet_credits_user ON wallet_credits (user_id);

GRANT SELECT, INSERT, UPDATE ON wallet_users, paynow_events TO paynowwebhook, paynowworker;
GRANT SELECT, INSERT ON wallet_credits, ledger_postings, ledger_entries TO paynowwebhook, paynowworker;
GRANT SELECT ON ledger_accounts, ledger_balances TO paynowwebhook, paynowworker;
GRANT SELECT, INSERT, UPDATE ON outbox TO paynowwebhook, paynowworker;
GRANT USAGE ON SEQUENCE outbox_places TO paynowwebhook, paynowworker;
CREATE POLICY outbox_seen_by_paynow ON outbox FOR SELECT TO paynowwebhook, paynowworker USING (true);
CREATE POLICY outbox_written_by_its_paynow ON outbox TO paynowwebhook, paynowworker
    USING (pg_has_role(current_user, service::name, 'member'));
GRANT SELECT, INSERT ON dead_letters TO paynowwebhook, paynowworker;

-- migrate:down
REVOKE ALL ON dead_letters, outbox, ledger_accounts, ledger_balances, ledger_postings, ledger_entries
    FROM paynowwebhook, paynowworker;
DROP POLICY outbox_written_by_its_paynow ON outbox;
DROP POLICY outbox_seen_by_paynow ON outbox;
DROP TABLE wallet_credits, paynow_events, wallet_users;
DROP INDEX outbox_unpublished;
DROP SEQUENCE outbox_places;
ALTER TABLE outbox DROP COLUMN held_until, DROP COLUMN place, DROP COLUMN ordering_key;
-- Refused, with all of the above, where points were posted: what users own is not thrown away by going back.
DELETE FROM ledger_accounts WHERE account IN ('points_issued', 'user_points');
REVOKE SELECT ON schema_migrations FROM paynowwebhook, paynowworker;
REVOKE USAGE ON SCHEMA public FROM paynowwebhook, paynowworker;
