"""The month that is billed, in the units that prices are asked by."""

from __future__ import annotations

DAYS = 30
HOURS = DAYS * 24
MINUTES = HOURS * 60
SECONDS = MINUTES * 60
