"""Log entries: kept (entries), asked for (query, compare), written by instances (lines)."""
