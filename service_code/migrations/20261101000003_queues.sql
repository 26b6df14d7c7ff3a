-- What every queue-driven service needs: the outbox (messages written with the row that causes them) and the dead letters.

-- migrate:up
CREATE TABLE outbox (
    id text PRIMARY KEY,                  -- '<queue>:<unique_id>:<n>': its hash is the task's name
    service text NOT NULL,
    queue text NOT NULL,
    message jsonb NOT NULL,               -- without any short-lived token: that is minted when the task is made
    unique_id text NOT NULL,
    trace text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    due_at timestamptz,                   -- not before this, where the sender asked for a delay
    minted_at timestamptz NOT NULL,       -- time of the last attempt to make the task; a minted token is never younger
    attempts integer NOT NULL DEFAULT 1,
    sent_at timestamptz,
    cancelled_at timestamptz,
    last_error text
);
CREATE INDEX outbox_unsent ON outbox (service, minted_at) WHERE sent_at IS NULL AND cancelled_at IS NULL;
CREATE INDEX outbox_unique_id ON outbox (unique_id);

CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint text NOT NULL UNIQUE,     -- one letter for one body at one door, however often it is delivered
    service text NOT NULL,
    endpoint text NOT NULL,
    unique_id text,
    generation integer NOT NULL DEFAULT 1,
    code text NOT NULL,
    why text NOT NULL,
    body text NOT NULL,                   -- as received, tokens struck out, cut at 64 KB
    task_name text,
    attempt_number integer NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX dead_letters_unique_id ON dead_letters (unique_id);

GRANT SELECT, INSERT, UPDATE ON outbox TO gcwebhook, gcsplit, gchostpay;
-- Grants are by table; rows are by role, so that no service can silence or forge another's messages. An IAM login is a
-- member of its service's role. Reading is for all: an operator's view of a payment shows its whole way.
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY outbox_seen_by_all ON outbox FOR SELECT TO gcwebhook, gcsplit, gchostpay USING (true);
CREATE POLICY outbox_written_by_its_service ON outbox TO gcwebhook, gcsplit, gchostpay
    USING (pg_has_role(current_user, service::name, 'member'));
GRANT SELECT, INSERT ON dead_letters TO gcwebhook, gcsplit, gchostpay;

-- migrate:down
DROP TABLE dead_letters, outbox;
