"""dashboards/boards/<board>.yaml.j2: a dashboard as a Jinja2 template of what the Dashboards API takes.

Owns what a template is: a name and a text. `boards` renders it for a system.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard, not rendered yet."""

    name: str
    file: Path
    template: str
