"""The building blocks of a stack: one Pulumi component a file, made from the specs; ``system`` holds their order.

Know neither what the services do nor whether the cloud is real: every difference between stacks is in their config.
"""
