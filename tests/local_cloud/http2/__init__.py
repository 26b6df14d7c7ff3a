"""The server of HTTP/2 and gRPC, by itself: its rules, its limits, and what clients can do to it."""
