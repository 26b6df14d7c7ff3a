-- One role a service (docs/adr/ledger-accounts.md, DESIGN section 2). A service's IAM
-- login `<service>@<project>.iam` is made a member of it by `service_code.kit.migrate`. Roles belong to the
-- server, not to this database, so that taking this migration back leaves them.

-- migrate:up
DO $$
DECLARE service text;
BEGIN
    FOREACH service IN ARRAY ARRAY['gcwebhook', 'gcsplit', 'gchostpay'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = service) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN', service);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of the server was being migrated at the same moment
            END;
        END IF;
    END LOOP;
END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO gcwebhook, gcsplit, gchostpay;
GRANT SELECT ON schema_migrations TO gcwebhook, gcsplit, gchostpay;

-- migrate:down
REVOKE SELECT ON schema_migrations FROM gcwebhook, gcsplit, gchostpay;
REVOKE USAGE ON SCHEMA public FROM gcwebhook, gcsplit, gchostpay;
