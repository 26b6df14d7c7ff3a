"""The distribution API's errors. Source: OCI distribution specification 1.1, "Error codes"."""

from collections.abc import Mapping
from typing import Any

#: As registries word it.
BLOB_UNKNOWN = "blob unknown to registry"


class RegistryError(Exception):
    """An answer that is not OK, in the shape that clients of registries read."""

    def __init__(self, code: str, text: str, status: int, detail: Any, headers: Mapping[str, str]) -> None:
        super().__init__(text)
        self.code, self.text, self.status, self.detail, self.headers = code, text, status, detail, headers


def refused(
    code: str, text: str, status: int, *, detail: Any = None, headers: Mapping[str, str] | None = None
) -> RegistryError:
    """One error."""
    return RegistryError(code, text, status, detail, headers or {})
