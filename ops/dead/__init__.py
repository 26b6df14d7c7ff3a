"""What waits for a person: payments and PayNow's events that died, what the exchange refused, and letters, which no
service could handle.

`things` says what they are and which of them are meant; `doors` reads and changes them at the services' operator doors,
`topic` in Pub/Sub's dead-letter subscription; `work` does one thing with many, at a rate.
"""
