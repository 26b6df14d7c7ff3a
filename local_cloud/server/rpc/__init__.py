"""gRPC over HTTP/2: what a request says, messages in bodies, calls, and who runs them."""
