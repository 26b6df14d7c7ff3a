"""How the cloud speaks: REST and gRPC over one registry of handlers."""
