"""Makes the pages: what rows.py and rpcs.py found, in the shape that pages.py gives."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.fidelity.pages import INDEX, PAGES, Page
from tests.fidelity.rows import Row, collect
from tests.fidelity.rpcs import Rpc, apis, routes, rpcs

TESTS = Path(__file__).parent.parent
DOCS = TESTS.parent / "docs"

KNOWN = """"documented" is Google's reference, "observed" what the real service answers by public or recorded evidence,
"ours" our own choice where neither says, or where a laptop needs another. Each line stands on a test that pins it."""


def pages() -> dict[Path, str]:
    """Every page by its path. Raises ValueError for a line whose area or section is not there."""
    found = collect(TESTS)
    for row in found:
        if row.area not in PAGES or row.section not in PAGES[row.area].sections:
            known = ", ".join(PAGES[row.area].sections if row.area in PAGES else PAGES)
            raise ValueError(
                f"{row.tests[0]} pins {row.area!r}, {row.section!r}; there is: {known} (tests/fidelity/pages.py)"
            )
    claimed = {module for page in PAGES.values() for module in page.apis}
    rest = [module for module in apis() if module not in claimed]
    made = {DOCS / "fidelity" / f"{area}.md": _page(area, page, found, rest) for area, page in PAGES.items()}
    return {DOCS / "fidelity.md": _index(), **made}


def _index() -> str:
    lines = [f"- [{page.title}](fidelity/{area}.md): {page.about}" for area, page in PAGES.items()]
    return INDEX.format(pages="\n".join(lines))


def _page(area: str, page: Page, found: list[Row], rest: list[str]) -> str:
    parts = [f"# {page.title}", KNOWN]
    for section in page.sections:
        rows = [row for row in found if (row.area, row.section) == (area, section)]
        if rows:
            lines = [_line(row) for row in rows]
            parts += [f"## {section}", _table(("behaviour", "known from", "test"), lines)]
    if page.absent:
        parts += ["## Left out on purpose", _table(("what", "why"), page.absent.items())]
    modules = [*page.apis, *(rest if page.rest else [])]
    for module in modules:
        parts += _surface(module)
    return "\n\n".join(parts) + "\n"


def _line(row: Row) -> tuple[str, str, str]:
    sources = [f"{kind} ({source})" if source else kind for kind, source in row.sources.items()]
    return row.behaviour, ", ".join(sources), ", ".join(dict.fromkeys(row.tests))


def _surface(module: str) -> list[str]:
    api = apis()[module]
    lines = [(f"{rpc.service.rpartition('.')[2]}.{rpc.name}", _state(rpc), rpc.permission) for rpc in rpcs(api)]
    parts = [f"## Every method of {module}"] if lines or routes(api) else []
    if lines:
        parts.append(_table(("RPC", "here", "asks for"), lines))
    if spoken := routes(api):
        parts.append("By REST beside its protos: " + ", ".join(f"`{route}`" for route in spoken) + ".")
    return parts


def _state(rpc: Rpc) -> str:
    return "yes" if rpc.emulated else f"UNIMPLEMENTED by name; it would be added in {rpc.file}"


def _table(head: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    rows = [head, tuple("---" for _ in head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
