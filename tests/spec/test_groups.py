"""A group that stands in a label's place counts as its members where it is asked whether a queue is watched."""

from __future__ import annotations

from pathlib import Path

from tests.spec.lint_pages import Example, found

LEFT_OUT = """\
conditions:
  - metric: cloudtasks.googleapis.com/queue/depth
    where: {queue_id: {not: "@waiting"}}
    across: {by: sum, keep: [queue_id, location]}
    above: 100
"""


def test_a_queue_that_its_group_leaves_out_is_not_watched(tmp_path: Path) -> None:
    alert = Example("dashboards/alerts/queue-depth.yaml", LEFT_OUT, whole=False)
    queue = Example("queue_configs/tasks/order-queue.yaml", "waits_for: block\n", whole=False)
    assert found([alert], tmp_path / "watched") == ()
    assert {one.rule for one in found([alert, queue], tmp_path / "left_out")} == {"SL408"}
