"""That the units of a parallel run are those that there are: a name that is gone would help nobody."""

from __future__ import annotations

from pathlib import Path

from tests.workers import APART, LONG, TOGETHER, unit

ROOT = Path(__file__).parents[1]


def test_every_unit_is_of_files_that_there_are() -> None:
    assert [name for name in (*TOGETHER, *APART) if not (ROOT / name).exists()] == []
    assert [name for name in LONG if name not in TOGETHER.values() and not (ROOT / name).is_file()] == []


def test_tests_that_share_a_stack_are_run_by_one_worker() -> None:
    assert unit("tests/rollout/test_key.py::a[1]") == unit("tests/runbook/test_queues.py::b")
    assert unit("tests/payments/test_line.py::a") == unit("tests/payments/test_bindings.py::B::b")
    assert unit("tests/payments/test_crashes.py::a") == unit("tests/payments/test_window.py::b")
    stacks = (*APART, "tests/payments/test_line.py", "tests/payments/test_paynow.py")
    assert len({unit(f"{name}::a") for name in stacks}) == len(stacks)
    assert unit("tests/spec/test_names.py::a") == "tests/spec/test_names.py"


def test_every_file_with_tests_of_a_whole_stack_is_a_long_unit() -> None:
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    marked = [path.relative_to(ROOT).as_posix() for path in files if "pytest.mark.stack" in path.read_text()]
    assert marked
    assert [name for name in marked if unit(f"{name}::a") not in LONG] == []
