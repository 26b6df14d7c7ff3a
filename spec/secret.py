"""The model of queue_configs/secrets/<SECRET>.yaml: that a secret exists and what it must look like, never its value.

Who reads a secret is derived from the services that list it. Leaves alone versions, which stack config pins, and data,
which is added outside of the program.
"""

from __future__ import annotations

from spec.model import Flag, Named, Whole, field


class Secret(Named):
    """One secret: a container with a rule for what is put into it."""

    description: str = field(
        ...,
        "What the secret is for and who issues it.",
        min_length=1,
        breaks="whoever must rotate it at night would not know where it comes from",
        fix="write one sentence: what it signs or opens, and who issues it",
    )
    min_length: Whole = field(
        1,
        "The fewest characters that a value may have; services refuse a shorter one at start.",
        ge=1,
        le=65536,
        breaks="an empty value, or one above Secret Manager's 64 KiB, can be no secret",
        fix="write a whole number from 1 to 65536",
    )
    generated: Flag = field(
        False, "True if a local stack makes the value at random; false if somebody outside issues it."
    )
