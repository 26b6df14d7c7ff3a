-- How a message went, or was meant to go, to its receiver (docs/adr/routes.md): as a task, or by the sender's own call.

-- migrate:up
-- An older release writes tasks alone, and sends by the queue whatever it finds unsent.
ALTER TABLE outbox ADD COLUMN way text NOT NULL DEFAULT 'queue' CHECK (way IN ('queue', 'direct'));

-- migrate:down
ALTER TABLE outbox DROP COLUMN way;
