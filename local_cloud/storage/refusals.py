"""Cloud Storage's errors, in the words and the shape of its JSON API.

Source: https://cloud.google.com/storage/docs/json_api/v1/status-codes.
"""

from typing import Any


class StorageError(Exception):
    """An answer that is not OK. `reason` is the word that clients look at."""

    def __init__(self, status: int, reason: str, text: str, *, location: tuple[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.reason, self.text, self.location = status, reason, text, location

    def to_json(self) -> dict[str, Any]:
        """The body of the answer."""
        one: dict[str, Any] = {"message": self.text, "domain": "global", "reason": self.reason}
        if self.location is not None:
            one |= {"locationType": self.location[0], "location": self.location[1]}
        return {"error": {"code": self.status, "message": self.text, "errors": [one]}}


def invalid(text: str) -> StorageError:
    """400."""
    return StorageError(400, "invalid", text)


def required(text: str) -> StorageError:
    """400: something is missing."""
    return StorageError(400, "required", text)


def no_bucket() -> StorageError:
    """404."""
    return StorageError(404, "notFound", "The specified bucket does not exist.")


def no_object(bucket: str, name: str) -> StorageError:
    """404."""
    return StorageError(404, "notFound", f"No such object: {bucket}/{name}")


def unmet(header: str = "If-Match") -> StorageError:
    """412: a precondition does not hold."""
    text = "At least one of the pre-conditions you specified did not hold."
    return StorageError(412, "conditionNotMet", text, location=("header", header))


def not_modified() -> StorageError:
    """304: the caller has it already."""
    return StorageError(304, "notModified", "Not Modified", location=("header", "If-None-Match"))
