"""Rules that need more than one file, or more than one key: one module a family, each a list of small functions.

A rule takes the draft of a system and yields findings; it never raises and never changes anything. Modules of this
folder are found by listing it: one that has `RULES` (functions), or `LAWS` that others keep, takes part.
"""

from spec.checks.draft import Draft, Rule
from spec.checks.registry import laws, run
from spec.checks.rule import Law
from spec.checks.silences import Report, Silenced

__all__ = ["Draft", "Law", "Report", "Rule", "Silenced", "laws", "run"]
