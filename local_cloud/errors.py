"""The one error that handlers raise, and its two shapes: a gRPC status and Google's error JSON.

Codes and their HTTP statuses are google.rpc.Code's (google/rpc/code.proto). Messages are the caller's: this module
invents none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from local_cloud.descriptors import Message, message


class ApiError(Exception):
    """An answer that is not OK: `ApiError("NOT_FOUND", "Queue does not exist.")`."""

    def __init__(self, code: str, text: str, *details: Message, status: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.details: tuple[Message, ...] = details
        self.http_status = status or HTTP_STATUS[code]

    def to_status(self) -> Message:
        """As google.rpc.Status, with the details packed."""
        status = message("google.rpc.Status")(code=NUMBER[self.code], message=self.text)
        for detail in self.details:
            status.details.add().Pack(detail)
        return status


#: google.rpc.Code: number and HTTP status.
_CODES: dict[str, tuple[int, int]] = {
    "OK": (0, 200),
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
}
NUMBER: dict[str, int] = {name: number for name, (number, _) in _CODES.items()}
NAME: dict[int, str] = {number: name for name, number in NUMBER.items()}
HTTP_STATUS: dict[str, int] = {name: http for name, (_, http) in _CODES.items()}


def error_info(reason: str, domain: str, metadata: Mapping[str, str] | None = None) -> Message:
    """A google.rpc.ErrorInfo detail."""
    return message("google.rpc.ErrorInfo")(reason=reason, domain=domain, metadata=dict(metadata or {}))


def help_link(description: str, url: str) -> Message:
    """A google.rpc.Help detail with one link."""
    return message("google.rpc.Help")(links=[{"description": description, "url": url}])


def bad_request(violations: Sequence[tuple[str, str]]) -> Message:
    """A google.rpc.BadRequest detail from (field, description) pairs."""
    made = [{"field": field, "description": text} for field, text in violations]
    return message("google.rpc.BadRequest")(field_violations=made)


def invalid(text: str, *details: Message) -> ApiError:
    """INVALID_ARGUMENT / 400."""
    return ApiError("INVALID_ARGUMENT", text, *details)


def not_found(text: str, *details: Message) -> ApiError:
    """NOT_FOUND / 404."""
    return ApiError("NOT_FOUND", text, *details)


def already_exists(text: str, *details: Message) -> ApiError:
    """ALREADY_EXISTS / 409."""
    return ApiError("ALREADY_EXISTS", text, *details)


def failed_precondition(text: str, *details: Message) -> ApiError:
    """FAILED_PRECONDITION / 400."""
    return ApiError("FAILED_PRECONDITION", text, *details)


def permission_denied(text: str, *details: Message) -> ApiError:
    """PERMISSION_DENIED / 403."""
    return ApiError("PERMISSION_DENIED", text, *details)


def error_json(error: ApiError, to_json: Any) -> dict[str, Any]:
    """Google's error envelope; `to_json` turns a detail message into JSON."""
    body: dict[str, Any] = {"code": error.http_status, "message": error.text, "status": error.code}
    if error.details:
        body["details"] = [
            {"@type": f"type.googleapis.com/{d.DESCRIPTOR.full_name}", **to_json(d)} for d in error.details
        ]
    return {"error": body}
