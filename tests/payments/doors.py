"""What a door said, what its service logged of it, and what was kept: dead letters, in their order."""

from __future__ import annotations

import json
from typing import Any

from tests.payments.bindings import entries
from tests.payments.forge import Answer
from tests.payments.stack import Stack, until

#: What no answer to a caller may hold.
TRACES = ("Traceback", 'File "', ".py", "asyncpg", "starlette", "postgresql://")


def said_of(stack: Stack, since: str, answer: Answer) -> list[dict[str, Any]]:
    """What the services logged of a call."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        told = entries(stack, since, f'jsonPayload.trace="{answer.trace}"')
        found[:] = [{"severity": entry["severity"], **entry["jsonPayload"]} for entry in told]
        return bool(found)

    until(look, 10, lambda: f"nothing is logged of {answer}")
    return found


def refused(stack: Stack, since: str, answer: Answer, status: int, code: str) -> None:
    """The door refused it in plain words, and the log has the reason."""
    all_refused(stack, since, [answer], status, code)


def all_refused(stack: Stack, since: str, answers: list[Answer], status: int, code: str) -> None:
    """Each of them was."""
    told = told_by_trace(stack, since, 'severity=("WARNING" OR "ERROR") AND jsonPayload.trace:*', answers)
    for answer in answers:
        assert answer.status == status, answer
        assert answer.body["error"] == code, answer
        assert not [trace for trace in TRACES if trace in answer.text]
        said = json.dumps(told[answer.trace])
        assert code in said
        assert answer.body.get("reason", code) in said


def told_by_trace(stack: Stack, since: str, query: str, answers: list[Answer]) -> dict[str, list[dict[str, Any]]]:
    """The services' lines that a query finds, by the trace of the call; every one of these calls has one."""
    found: dict[str, list[dict[str, Any]]] = {}

    def look() -> bool:
        found.clear()
        for entry in entries(stack, since, query):
            line = {"severity": entry["severity"], **entry["jsonPayload"]}
            found.setdefault(line["trace"], []).append(line)
        return all(answer.trace in found for answer in answers)

    until(look, 20, lambda: f"nothing is logged of {[one for one in answers if one.trace not in found]}")
    return found


def letters(stack: Stack, after: int = 0) -> list[dict[str, Any]]:
    sql = "SELECT service, endpoint, code, why, body, unique_id FROM dead_letters WHERE id > $1 ORDER BY id"
    return stack.sql(sql, after)


def newest_letter(stack: Stack) -> int:
    (row,) = stack.sql("SELECT coalesce(max(id), 0) AS id FROM dead_letters")
    return int(row["id"])
