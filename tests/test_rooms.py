"""The import law: which room may import which, and what a room knows nothing of (docs/architecture.md, section Rooms).

Read from the source text, so that an import inside a function counts as much as one at the top.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Room -> the modules of ours that it may import, besides itself.
LAW: dict[str, set[str]] = {
    "stacks": {"spec", "components"},
    "spec": {"local_cloud.engines.backoff"},
    "components": {"spec"},
    "service_code": set(),
    "local_cloud": set(),
    "local_engine": {"spec", "components", "stacks"},
    "sandbox": set(),
    "ops": {"spec", "local_engine"},
    "policy": {"spec"},
}

#: Room -> packages of others that it knows nothing of.
FOREIGN: dict[str, set[str]] = {
    "spec": {"pulumi", "pulumi_gcp", "google", "grpc"},
    "components": {"google", "grpc", "aiohttp"},
    "local_cloud": {"google.cloud", "google.auth", "pulumi", "pulumi_gcp", "web3", "eth_account"},
    "service_code": {"pulumi", "pulumi_gcp"},
    "ops": {"pulumi", "pulumi_gcp"},
    "sandbox": {"google", "pulumi", "pulumi_gcp"},
}

#: Most lines a file of code may have: a file that grows is two ideas.
MOST_LINES = 400


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize("room", sorted(LAW))
def test_a_room_imports_only_what_the_law_allows(room: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files(room)
        for line, name in imports(path)
        if name.split(".")[0] in {*LAW, "tests", "bench"}
        and not any(under(name, allowed) for allowed in {room, *LAW[room]})
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("room", sorted(FOREIGN))
def test_a_room_knows_nothing_of_what_is_not_its_business(room: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files(room)
        for line, name in imports(path)
        if any(under(name, foreign) for foreign in FOREIGN[room])
    ]
    assert not broken, "\n".join(broken)


#: Files of the local cloud outside apis/ that put a cloud together, and so may name an API.
ASSEMBLY = {"local_cloud/cloud.py", "local_cloud/registry.py", "local_cloud/standalone.py"}


def test_the_law_of_the_local_cloud_names_no_api() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files("local_cloud")
        if "apis" not in path.parts and str(path.relative_to(ROOT)) not in ASSEMBLY
        for line, name in imports(path)
        if under(name, "local_cloud.apis")
    ]
    assert not broken, "\n".join(broken)


def services() -> list[str]:
    return sorted(path.parent.name for path in (ROOT / "service_code").glob("*/service.yaml"))


@pytest.mark.parametrize("service", services())
def test_a_service_imports_the_kit_and_never_another_service(service: str) -> None:
    allowed = ("service_code.kit", f"service_code.{service}")
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files(f"service_code/{service}")
        for line, name in imports(path)
        if under(name, "service_code") and not any(under(name, prefix) for prefix in allowed)
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("room", ["local_cloud", "components", "local_engine"])
def test_the_platform_names_no_service_and_no_queue_of_the_payment_system(room: str) -> None:
    queues = [path.stem for path in (ROOT / "queue_configs/tasks").glob("*.yaml")]
    names = [name for name in [*services(), *queues]]
    broken = [
        f"{path.relative_to(ROOT)} names {name}" for path in files(room) for name in names if name in path.read_text()
    ]
    assert not broken, "\n".join(broken)


#: What may compare with the local stack's name, and why.
MAY_ASK = {"service_code/kit/settings.py": "refuses overridden endpoints in every other stack"}


def asks_for_local(path: Path) -> list[int]:
    """The lines that compare something with "local", alone or in a list, or look it up in a match."""

    def named(node: ast.AST) -> bool:
        return any(isinstance(inner, ast.Constant) and inner.value == "local" for inner in ast.walk(node))

    def asks(node: ast.AST) -> bool:
        match node:
            case ast.Compare(left=left, comparators=others):
                return any(named(side) for side in (left, *others))
            case ast.MatchValue(value=value):
                return named(value)
            case ast.Call(func=ast.Attribute(attr="startswith" | "endswith" | "__eq__"), args=given):
                return any(named(one) for one in given)
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name.lower() in ("is_local", "local_only", "on_local")
        return False

    return [getattr(node, "lineno", 0) for node in ast.walk(ast.parse(path.read_text())) if asks(node)]


def test_there_is_no_branch_on_local_in_the_program_or_the_services() -> None:
    asking = {
        str(path.relative_to(ROOT)): lines
        for room in ("components", "stacks", "service_code")
        for path in files(room)
        if (lines := asks_for_local(path))
    }
    assert {path: lines for path, lines in asking.items() if path not in MAY_ASK} == {}
    assert set(asking) == set(MAY_ASK), "an exception that nobody needs any more"
    assert [len(lines) for lines in asking.values()] == [1]


@pytest.mark.parametrize(
    "text",
    [
        'x = stack != "local"',
        "y = 'local' in stack",
        'z = stack in ("local", "dev")',
        'match s:\n    case "local": pass',
        'a = "local" if is_local else ""',
        'b = stack.startswith("local")',
    ],
)
def test_a_branch_on_local_is_seen_however_it_is_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)
    assert asks_for_local(path)


def test_files_stay_small() -> None:
    sizes = sorted(len(path.read_text().splitlines()) for room in LAW for path in files(room))
    assert sizes[len(sizes) // 2] < 150


def test_no_file_of_code_is_two_ideas() -> None:
    """Tests, benches and scripts too: whatever git tracks."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [path for path in listed.split() if (ROOT / path).is_file()]
    sizes = {path: len((ROOT / path).read_text().splitlines()) for path in paths}
    assert len(sizes) > 100
    assert {path: size for path, size in sizes.items() if size > MOST_LINES} == {}


def test_the_program_is_short() -> None:
    assert len((ROOT / "stacks/__main__.py").read_text().splitlines()) <= 40


def test_every_module_says_what_it_owns() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for room in LAW
        for path in files(room)
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []
