"""Cloud SQL over a Postgres server that somebody else runs (see docs/adr/cloud-sql-server.md)."""
