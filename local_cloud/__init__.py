"""Google Cloud on loopback. Knows nothing of payments; imports nothing of the other rooms."""
