"""Cloud Run: services and revisions as kept (services), checked (rules), started (environment) and reached (door)."""
