"""What the headers of a request may be, whichever part of a queue or task names them."""

import re
from collections.abc import Mapping

from local_cloud.errors import invalid

#: Headers must stay under this.
MAX_BYTES = 80 * 1024

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MORE_LINES = re.compile(r"[\r\n\0]")


def check_headers(headers: Mapping[str, str], field: str, most: int | None = None) -> None:
    """Refuses names that are none, values of more than one line, and what is too long (where there is a limit)."""
    size = 0
    for name, value in headers.items():
        size += len(name) + len(value.encode())
        if not _TOKEN.fullmatch(name):
            raise invalid(f"{field}: '{name}' is not a header name.")
        if _MORE_LINES.search(value):
            raise invalid(f"{field}: the value of '{name}' must be one line.")
    if most is not None and size >= most:
        raise invalid(f"{field} must be less than 80KB.")
