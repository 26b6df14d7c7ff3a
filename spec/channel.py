"""The model of dashboards/channels/<channel>.yaml: who is told of which severities. How, each stack says.

Owns no address: a stack's config names one for each channel that it has (sluice:watching, `spec.watching`), so that a
laptop, a test project and production tell different people by the same files.
"""

from __future__ import annotations

from spec.alert import Severity
from spec.model import Named, field


class Channel(Named):
    """One audience."""

    what: str = field(
        ...,
        "Who is told, and by what.",
        min_length=1,
        max_length=200,
        breaks="nobody would know who reads it",
        fix="write one sentence, for example: The payments channel in Slack",
    )
    takes: tuple[Severity, ...] = field(
        ...,
        "The severities of which it is told.",
        min_length=1,
        breaks="nobody would ever be told by it",
        fix="list one or more of critical, error, warning and info",
    )
