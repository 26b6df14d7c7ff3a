"""From a template of dashboards/boards/ to the dashboard that it draws, or to what is wrong with it and in which line.

Owns what a template may use: the specs by name, and a few words for widgets (`board_words`), each of which prints one
widget as JSON, which is YAML too. Whatever is left of a dashboard (layouts, titles) the template says as the Dashboards
API takes it.

Source: google/monitoring/dashboard/v1/*.proto; https://cloud.google.com/monitoring/quotas (widgets).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

import jinja2
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from spec.board import Board
from spec.board_words import BoardError, words
from spec.catalogue import Catalogue
from spec.graph import System

#: A dashboard has at most so many widgets.
MOST_WIDGETS = 50

#: The layouts that the API knows, and where each keeps its widgets.
LAYOUTS = ("gridLayout", "mosaicLayout", "rowLayout", "columnLayout")

#: What stands for the project, which only a stack knows.
PROJECT = "$PROJECT"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_METRIC_TYPE = re.compile(r"metric\.type\s*=\s*[\"']([^\"']+)[\"']")
_BREAKS = "the dashboard could not be made"


def render(board: Board, system: System, project: str = PROJECT) -> str:
    """Return the dashboard as JSON that the Dashboards API takes, or raise `BoardError`."""
    return json.dumps(_sent(draw(board, system)), sort_keys=True).replace(PROJECT, project)


def _sent(value: Any) -> Any:
    """The value without what Google leaves out of its answer, or each apply would miss that and set it again."""
    if isinstance(value, dict):
        return {key: _sent(item) for key, item in value.items() if isinstance(item, dict | list) or item}
    return [_sent(item) for item in value] if isinstance(value, list) else value


def draw(board: Board, system: System) -> dict[str, Any]:
    """Return the dashboard with a word in the project's place; it is drawn once for a system."""
    if board.name not in system.drawn:
        system.drawn[board.name] = _drawn(board, system)
    return system.drawn[board.name]


def _drawn(board: Board, system: System) -> dict[str, Any]:
    catalogue = Catalogue(system.metrics, system.groups)
    text = _text(board, system, catalogue)
    try:
        drawn = _read(text)
    except yaml.YAMLError as error:
        raise BoardError(
            f"what the template gives is not YAML: {_first_line(error)}",
            breaks=_BREAKS,
            fix="indent what a loop or a word prints as the lines around it",
        ) from None
    _check(drawn, catalogue)
    return dict(drawn)


@lru_cache(maxsize=64)
def _read(text: str) -> Any:
    """What a template has printed; nobody changes it. Specs are loaded several times a command, and print the same."""
    return yaml.load(text, Loader=_LOADER)


def _text(board: Board, system: System, catalogue: Catalogue) -> str:
    names: dict[str, Any] = {
        "queues": system.queues,
        "services": system.services,
        "topics": system.topics,
        "metrics": system.metrics,
        "slos": system.slos,
        "alerts": system.alerts,
        **words(system, catalogue, PROJECT),
    }
    try:
        return _compiled(board.template).render(names)
    except BoardError as error:
        raise error.at(_line(error)) from None
    except jinja2.TemplateSyntaxError as error:
        raise BoardError(f"this is no template: {error.message}", breaks=_BREAKS, fix=_FIX, line=error.lineno) from None
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise BoardError(f"{error}", breaks=_BREAKS, fix=_FIX, line=_line(error)) from None


@cache
def _compiled(template: str) -> jinja2.Template:
    """Compile a template once: this is most of the time that a board takes."""
    return _ENVIRONMENT.from_string(template)


_FIX = "see docs/dashboards.md for what a template may use"


def _line(error: Exception) -> int:
    """Return the line of the template in which a word was used: Jinja's own frames stand in the traceback."""
    line, frame = 1, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == "<template>":
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


def _check(drawn: Any, catalogue: Catalogue) -> None:
    if not isinstance(drawn, dict) or not drawn.get("displayName"):
        raise BoardError(
            "the dashboard has no displayName",
            breaks="Monitoring refuses the dashboard",
            fix="write displayName: and its name",
        )
    layouts = [layout for layout in LAYOUTS if layout in drawn]
    if len(layouts) != 1:
        raise BoardError(
            f"the dashboard has {' and '.join(layouts) or 'no layout'}",
            breaks="Monitoring refuses the dashboard: it has one layout",
            fix=f"write one of {', '.join(LAYOUTS)}",
        )
    count = sum(1 for _ in widgets(drawn))
    if count > MOST_WIDGETS:
        raise BoardError(
            f"the dashboard has {count} widgets",
            breaks=f"Monitoring refuses the dashboard: it has at most {MOST_WIDGETS} widgets",
            fix="draw several series in one chart, or make a second board",
        )
    for name in sorted({found for text in _texts(drawn) for found in _METRIC_TYPE.findall(text)}):
        known = {metric.type for metric in catalogue.own.values()} | catalogue.google.keys()
        if name not in known:
            raise BoardError(
                f"there is no metric {name!r}",
                breaks="the chart would be empty for ever",
                fix="use series(...), which knows the metrics, or correct the name",
            )


def widgets(drawn: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every widget of a dashboard."""
    yield from drawn.get("gridLayout", {}).get("widgets") or ()
    yield from (tile.get("widget", {}) for tile in drawn.get("mosaicLayout", {}).get("tiles") or ())
    for rows in (drawn.get("rowLayout", {}).get("rows"), drawn.get("columnLayout", {}).get("columns")):
        yield from (widget for row in rows or () for widget in row.get("widgets") or ())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
