"""Pulumi ComponentResources, one per file; `system.py` holds their order. Knows nothing of what the services do."""
