-- The minutes of which it is said how both sides of a rollout stand (gcsplit/sides.py): whoever writes the row says it,
-- so that two instances that sweep in one minute do not count its payments twice.

-- migrate:up
CREATE TABLE sides_said (minute timestamptz PRIMARY KEY);
GRANT SELECT, INSERT, DELETE ON sides_said TO gcsplit;

-- migrate:down
DROP TABLE sides_said;
