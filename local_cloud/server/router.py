"""Which binding a REST path means: the path templates of google.api.http as a tree.

`*` is one segment, `**` the rest of the path, `{field=...}` captures, `:verb` ends a path. Literals win over `*`,
`*` over `**`; where two APIs claim the same path, the one with a handler wins. Source: google/api/http.proto.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from local_cloud.registry import Binding


@dataclass(frozen=True, slots=True)
class Route:
    """One template of one binding; captures are (field path, first segment, past the last or None, is one segment)."""

    binding: Binding
    body: str
    response_body: str
    captures: tuple[tuple[str, int, int | None, bool], ...]


@dataclass(slots=True)
class _Node:
    literals: dict[str, "_Node"] = field(default_factory=dict)
    star: "_Node | None" = None
    routes: dict[tuple[str, str], Route] = field(default_factory=dict)
    rest: dict[tuple[str, str], Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """A route with the values of its variables."""

    route: Route
    params: dict[str, str]


class Router:
    """All templates."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, binding: Binding, verb: str, template: str, body: str, response_body: str = "") -> None:
        """Adds a template such as `/v2/{name=projects/*/queues/*}:pause`."""
        segments, captures, custom = _parse(template)
        route = Route(binding, body, response_body, captures)
        node = self._root
        for segment in segments:
            if segment == "**":
                _put(node.rest, (verb, custom), route)
                return
            if segment == "*":
                node.star = node.star or _Node()
                node = node.star
            else:
                node = node.literals.setdefault(segment, _Node())
        _put(node.routes, (verb, custom), route)

    def match(self, verb: str, raw_path: str) -> Match | None:
        """The route of a request; `raw_path` is still percent-encoded."""
        segments = raw_path.lstrip("/").split("/")
        if raw_path == "/":
            root = self._root.routes.get((verb, ""))
            return Match(root, {}) if root else None
        head, colon, custom = segments[-1].rpartition(":")
        if not colon:
            head, colon, custom = re.sub("%3[Aa]", ":", segments[-1]).rpartition(":")
        if colon:
            with_verb = [*segments[:-1], head]
            if route := _walk(self._root, with_verb, 0, (verb, custom)):
                return Match(route, _capture(route, with_verb))
        if route := _walk(self._root, segments, 0, (verb, "")):
            return Match(route, _capture(route, segments))
        return None


def _put(routes: dict[tuple[str, str], Route], key: tuple[str, str], route: Route) -> None:
    if key not in routes or routes[key].binding.handler is None:
        routes[key] = route


def _walk(node: _Node, segments: list[str], index: int, key: tuple[str, str]) -> Route | None:
    if index == len(segments):
        return node.routes.get(key)
    segment = segments[index]
    if (below := node.literals.get(segment)) and (found := _walk(below, segments, index + 1, key)):
        return found
    if node.star and segment and (found := _walk(node.star, segments, index + 1, key)):
        return found
    return node.rest.get(key)


def _capture(route: Route, segments: list[str]) -> dict[str, str]:
    params = {}
    for name, start, end, single in route.captures:
        raw = "/".join(segments[start:end])
        params[name] = unquote(raw) if single else _unquote_but_slash(raw)
    return params


def _unquote_but_slash(raw: str) -> str:
    """Variables of several segments keep an encoded slash, as names of logs do (google/api/http.proto)."""
    if "%" not in raw:
        return raw
    return "%2F".join(unquote(part) for part in re.split("%2[fF]", raw))


def _parse(template: str) -> tuple[list[str], tuple[tuple[str, int, int | None, bool], ...], str]:
    path, _, custom = template.partition(":") if "{" not in template else _verb(template)
    segments: list[str] = []
    captures: list[tuple[str, int, int | None, bool]] = []
    for part in re.findall(r"\{[^}]*\}|[^/{}]+", path):
        if not part.startswith("{"):
            segments.append(part)
            continue
        name, equals, pattern = part[1:-1].partition("=")
        pieces = pattern.split("/") if equals else ["*"]
        end = None if pieces[-1] == "**" else len(segments) + len(pieces)
        captures.append((name, len(segments), end, pieces == ["*"]))
        segments.extend(pieces)
    return segments, tuple(captures), custom


def _verb(template: str) -> tuple[str, str, str]:
    head, brace, tail = template.rpartition("}")
    literal, colon, custom = tail.partition(":")
    return f"{head}{brace}{literal}", colon, custom
