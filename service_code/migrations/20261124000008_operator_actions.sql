-- What operators did, and what they put aside (docs/adr/dead-letters.md). An action is written in the transaction of what
-- it tells of, and is never changed; a letter or an event that is put aside stays where it is, with a mark.

-- migrate:up
CREATE TABLE operator_actions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    service text NOT NULL,
    account text NOT NULL,                -- the verified caller: the operator's account
    said_by text,                         -- who says to be at its keyboard: nobody has verified that
    verb text NOT NULL CHECK (verb IN ('replay', 'archive', 'restore', 'mark', 'settle', 'resume', 'abandon')),
    kind text NOT NULL CHECK (kind IN ('payment', 'event', 'letter', 'message', 'wallet')),
    subject text NOT NULL,
    before text,
    after text,
    why text
);
CREATE INDEX operator_actions_subject ON operator_actions (subject, id);
GRANT SELECT, INSERT ON operator_actions TO gcsplit, gchostpay, paynowwebhook;
ALTER TABLE operator_actions ENABLE ROW LEVEL SECURITY;
CREATE POLICY operator_actions_seen ON operator_actions FOR SELECT TO gcsplit, gchostpay, paynowwebhook USING (true);
CREATE POLICY operator_actions_written_by_their_service ON operator_actions FOR INSERT
    TO gcsplit, gchostpay, paynowwebhook WITH CHECK (pg_has_role(current_user, service::name, 'member'));

-- A release before this one knows no mark: it lists what is put aside with the rest, and changes nothing by that.
ALTER TABLE dead_letters ADD COLUMN archived_at timestamptz;
GRANT UPDATE (archived_at) ON dead_letters TO gcsplit, paynowwebhook;
CREATE POLICY dead_letters_archived ON dead_letters FOR UPDATE TO gcsplit USING (true);
CREATE POLICY dead_letters_archived_by_their_service ON dead_letters FOR UPDATE TO paynowwebhook
    USING (pg_has_role(current_user, service::name, 'member'));
ALTER TABLE paynow_events ADD COLUMN archived_at timestamptz;
-- Which letters an event already stands for.
GRANT SELECT (event_id) ON paynow_events TO gcsplit;

-- migrate:down
REVOKE SELECT (event_id) ON paynow_events FROM gcsplit;
ALTER TABLE paynow_events DROP COLUMN archived_at;
DROP POLICY dead_letters_archived_by_their_service ON dead_letters;
DROP POLICY dead_letters_archived ON dead_letters;
REVOKE UPDATE (archived_at) ON dead_letters FROM gcsplit, paynowwebhook;
ALTER TABLE dead_letters DROP COLUMN archived_at;
DROP TABLE operator_actions;
