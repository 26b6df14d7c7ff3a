"""What an instance prints, as log entries: a line of JSON is structured, any other is text.

Owns the special fields that Cloud Run's logging agent lifts out of a JSON line.
Source: https://cloud.google.com/logging/docs/structured-logging#special-payload-fields.
"""

from typing import Any

import orjson

from local_cloud.logs.compare import SEVERITIES, Entry, nanoseconds

#: JSON fields that become fields of the entry itself.
_LIFTED = {
    "logging.googleapis.com/insertId": "insertId",
    "logging.googleapis.com/labels": "labels",
    "logging.googleapis.com/operation": "operation",
    "logging.googleapis.com/sourceLocation": "sourceLocation",
    "logging.googleapis.com/spanId": "spanId",
    "logging.googleapis.com/trace": "trace",
    "logging.googleapis.com/trace_sampled": "traceSampled",
    "httpRequest": "httpRequest",
}
_SEVERITY_ALIASES = {"WARN": "WARNING", "ERR": "ERROR", "FATAL": "CRITICAL", "TRACE": "DEBUG", "CRIT": "CRITICAL"}


def entry_of_line(text: str, stream: str, project: str) -> Entry:
    """The entry for one line of an instance's stdout or stderr, without its resource."""
    entry: Entry = {"logName": f"projects/{project}/logs/run.googleapis.com%2F{stream}"}
    if text.startswith("{"):
        try:
            payload: Any = orjson.loads(text)
        except orjson.JSONDecodeError:
            payload = None
        if isinstance(payload, dict):
            return entry | _structured(payload, project)
    return entry | {"textPayload": text}


def _structured(payload: dict[str, Any], project: str) -> Entry:
    entry: Entry = {}
    severity = str(payload.get("severity", "")).upper()
    severity = _SEVERITY_ALIASES.get(severity, severity)
    if severity in SEVERITIES:
        entry["severity"] = severity
        del payload["severity"]
    for name, field in _LIFTED.items():
        if name in payload:
            entry[field] = payload.pop(name)
    for name, kind in (("insertId", str), ("labels", dict), ("httpRequest", dict), ("trace", str), ("spanId", str)):
        if name in entry and not isinstance(entry[name], kind):
            del entry[name]
    trace = entry.get("trace", "")
    if trace and not trace.startswith("projects/"):
        entry["trace"] = f"projects/{project}/traces/{trace}"
    for name in ("time", "timestamp"):
        if isinstance(payload.get(name), str) and "T" in payload[name] and nanoseconds(payload[name]) is not None:
            entry["timestamp"] = payload.pop(name)
            break
    if set(payload) == {"message"} and isinstance(payload["message"], str):
        return entry | {"textPayload": payload["message"]}
    return entry | {"jsonPayload": payload}
