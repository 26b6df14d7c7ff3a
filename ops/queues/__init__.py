"""What the verbs of queues know: how Cloud Tasks is reached, which queues there are, and the probe before a start."""
