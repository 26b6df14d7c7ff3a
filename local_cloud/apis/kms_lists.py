"""Lists of Cloud KMS: filters of the form `field = value`, joined by AND, and pages with the total beside them.

Source: https://cloud.google.com/kms/docs/sorting-and-filtering.
"""

import re
from typing import Any

from local_cloud.descriptors import Message
from local_cloud.errors import invalid
from local_cloud.plain import page
from local_cloud.server.json_codec import encode

_TERM = re.compile(r"\s*([\w.]+)\s*(!=|=|:)\s*(\"[^\"]*\"|\S+)\s*")
#: Most that one page has.
MOST = 1000


def answer_page(response: Any, field: str, found: list[Message], request: Message) -> Message:
    """One page of what the request's filter lets through."""
    order = getattr(request, "order_by", "").strip()  # retired resources are neither ordered nor filtered
    if order not in ("", "name", "name asc"):
        raise invalid(f"Invalid order_by: {order}. The local cloud lists by name.")
    found = [one for one in found if fits(one, getattr(request, "filter", ""))]
    taken, token = page(found, request.page_size, request.page_token, _by_name, most=MOST)
    return response(**{field: taken}, next_page_token=token, total_size=len(found))


def fits(one: Message, text: str) -> bool:
    """Whether a resource is what the filter asks for."""
    if not text.strip():
        return True
    shown: Any = encode(one)
    return all(_term(shown, term) for term in re.split(r"\bAND\b", text))


def _term(shown: Any, term: str) -> bool:
    match = _TERM.fullmatch(term)
    if match is None:
        raise invalid(f"Invalid filter: {term.strip()}. The local cloud filters by field=value, joined by AND.")
    value: Any = shown
    for part in match[1].split("."):
        name = re.sub(r"_(\w)", lambda found: found[1].upper(), part)
        value = value.get(name) if isinstance(value, dict) else None
    wanted, text = match[3].strip('"'), "" if value is None else str(value)
    if match[2] == ":":
        return wanted in text
    return (text == wanted) == (match[2] == "=")


def _by_name(one: Message) -> str:
    head, _, last = str(one.name).rpartition("/")
    return f"{head}/{last:0>12}" if last.isdigit() else f"{head}/{last}"
