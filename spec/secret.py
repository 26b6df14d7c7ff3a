"""The model of queue_configs/secrets/<SECRET>.yaml: that a secret exists and what it must look like, never its value.

Who reads a secret is derived from the services that list it. Leaves alone versions, which stack config pins, and data,
which is added outside of the program.
"""

from __future__ import annotations

from enum import StrEnum

from spec.durations import Duration
from spec.model import Flag, Named, Whole, field


class Rotation(StrEnum):
    """How a secret is changed without a gap."""

    #: We sign with it: the value is one key a line, the first signs and all verify.
    SIGN = "sign"
    #: Somebody else signs with it: the value is one key a line, and all verify.
    ACCEPT = "accept"
    #: One value, which the next version replaces.
    REPLACE = "replace"
    #: A wallet's key, which is moved by moving the money.
    NEVER = "never"

    @property
    def several(self) -> bool:
        """Whether its value may be several keys, so that the services that read it must take them."""
        return self in (Rotation.SIGN, Rotation.ACCEPT)


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
    rotation: Rotation = field(
        Rotation.REPLACE,
        "How it is changed: sign (ours, one key a line, the first signs), accept (others sign, all verify), replace "
        "(one value), or never (a wallet's).",
        breaks="a rotation would hand a service a value that it cannot read, or leave payments that nobody accepts",
        fix="write sign, accept, replace or never, as the code that reads the secret takes it",
    )
    good_for: Duration = field(
        Duration.parse("24h"),
        "How long what a key of ours has signed may be shown at a door; queues' windows count beside it.",
    )
    generated: Flag = field(
        False, "True if a local stack makes the value at random; false if somebody outside issues it."
    )
