"""Conditions of bindings. Placeholder for imports; see below."""


def holds(expression: str, resource: str, now: float) -> bool:
    """Whether a condition holds."""
    return True


def check(expression: str) -> None:
    """Refuses what cannot be read."""
