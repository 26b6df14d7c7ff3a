"""Whatever is done to a spec, it loads or is refused in words."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from spec import Finding
from spec.explain import explain
from spec.source import read
from spec.task_queue import TaskQueue
from tests.spec.conftest import HOSTPAY_QUEUE, ROOT

ORIGINAL = (ROOT / HOSTPAY_QUEUE).read_bytes()
SNIPPETS = [
    *(bytes([character]) for character in b"{}[]:-\n\t'\"|>?%~#\x00\x1b\xff"),
    *(b": ", b"- ", b"*a", b"&a ", b"!!", b".nan", b"-1", b"9" * 30, b"null", b"---\n", b"<<: ", b"\xe2\x80\xa8"),
]

edits = st.tuples(
    st.integers(min_value=0, max_value=len(ORIGINAL)),
    st.integers(min_value=0, max_value=12),
    st.one_of(st.sampled_from(SNIPPETS), st.binary(max_size=6)),
)


@given(st.lists(edits, min_size=1, max_size=4))
@settings(deadline=None, max_examples=200)
def test_a_damaged_queue_is_read_or_refused_at_a_place_that_exists(damage: list[tuple[int, int, bytes]]) -> None:
    content = ORIGINAL
    for start, length, new in damage:
        content = content[:start] + new + content[start + length :]

    findings = _findings(content)

    lines = (
        content.count(b"\n") + content.count(b"\r") + content.count(b"\xe2\x80\xa8") + content.count(b"\xc2\x85") + 1
    )
    for found in findings:
        assert 1 <= found.where.line <= lines + 1
        assert found.where.column >= 1
        assert found.what
        assert found.breaks
        assert found.fix


def _findings(content: bytes) -> list[Finding]:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        Path(file.name).write_bytes(content)
        findings: list[Finding] = []
        source = read(Path(file.name), Path("queue.yaml"), findings)
        if source is not None:
            try:
                TaskQueue.model_validate({**source.values, "name": "queue"})
            except ValidationError as error:
                findings.extend(explain(error, source, TaskQueue))
        return findings
