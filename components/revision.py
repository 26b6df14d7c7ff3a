"""The name of a revision: a hash of everything that it is made of.

The same template has the same name, so that nothing is deployed twice, and another one has another, so that traffic
can name a revision before it exists and never has to say "the latest".
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

#: Digits of the hash; 16^10 names keep two templates of one service apart.
HASH_DIGITS = 10


def revision_name(service: str, template: Any) -> str:
    """The name of the revision of ``service`` that ``template`` describes (plain JSON values)."""
    return f"{service}-{digest_of(template)}"


def digest_of(value: Any) -> str:
    """The first digits of the hash of ``value`` (plain JSON values)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]
