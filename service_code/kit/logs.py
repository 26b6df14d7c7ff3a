"""Logs as Cloud Logging reads them: one JSON object a line on stdout, with the fields of DECISIONS 20 on every line.

No key, token or person's address is logged: callers pass ids, codes and hashes, and an exception is shown by its type
and its frames, not by its text, since texts of HTTP and database clients carry URLs and values.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from service_code.kit import measure

#: Present on every line, empty where a line has no such thing.
FIELDS = (
    "severity",
    "component",
    "service_name",
    "endpoint",
    "unique_id",
    "attempt_number",
    "trace",
    "status",
    "message",
)
_SEVERITIES = {"warn": "WARNING", "exception": "ERROR", "critical": "CRITICAL"}

Log = structlog.typing.FilteringBoundLogger


def configure(service: str, project: str, stream: Any = None) -> None:
    """Make every logger of this process write our lines; standard loggers are bridged from WARNING on."""

    encode = json.JSONEncoder(default=str, separators=(",", ":")).encode  # made once: dumps would make one a line

    def shape(_logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        line: dict[str, Any] = dict.fromkeys(FIELDS)
        line["severity"] = _SEVERITIES.get(method, method.upper())
        line["component"] = event.pop("component", "kit")
        line["service_name"] = service
        line["message"] = event.pop("event", "")
        what = event.pop("what", None)
        error = event.pop("error", None)
        line.update(event)
        if what is not None:
            line["event"] = what
        if isinstance(error, BaseException):
            line["error"] = describe(error)
        elif error is not None:
            line["error"] = error
        if line["trace"]:
            line["logging.googleapis.com/trace"] = f"projects/{project}/traces/{line['trace']}"
        return encode(line)

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, shape],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=stream or sys.stdout),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    root.setLevel(logging.WARNING)


def describe(error: BaseException) -> dict[str, Any]:
    """Show an exception without its text: its type, its cause's type and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return {
        "type": type(error).__qualname__,
        "cause": type(error.__cause__).__qualname__ if error.__cause__ else None,
        "frames": [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames],
    }


class _Bridge(logging.Handler):
    """Carries the lines of libraries that use the standard logging."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        logger = structlog.get_logger()
        write = logger.error if record.levelno >= logging.ERROR else logger.warning
        write(f"{record.name}: {record.msg}", component="library", error=error)


def get(component: str) -> Log:
    """Return the logger of one part of a service."""
    log: Log = structlog.get_logger(component=component)
    return log


def about(**fields: Any) -> None:
    """Put fields on every further line of this request."""
    bind_contextvars(**fields)


def begin(**fields: Any) -> None:
    """Start a request: forget the fields and measures of any other and set these."""
    clear_contextvars()
    measure.begin()
    bind_contextvars(**fields)


def current(name: str) -> Any:
    """Return a field that was put on this request's lines."""
    return get_contextvars().get(name)
