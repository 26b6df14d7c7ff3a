"""The end of a whole stack, and its next beginning."""

from __future__ import annotations

import socket

import psutil
import pytest

from tests.payments.judge import judge
from tests.payments.stack import Stack

pytestmark = pytest.mark.stack


def test_down_leaves_no_process_and_no_port_and_up_goes_on_where_it_was(second: Stack) -> None:
    stack = second
    pay(stack)
    processes = stack.processes()
    assert len(processes) > 5  # supervisor, postgres and its workers, cloud, zygote, instances, sandbox, anvil
    stack.down()
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
    assert [port for port in stack.ports.values() if listens(port)] == []

    again = stack.up()
    assert again["writes"] == 0
    assert again["resources"] > 40
    pay(stack)
    stack.exchanged()
    report = judge(stack.sandbox, stack.chain, stack.dsn)
    assert report.ok, "\n".join(report.differences)


def pay(stack: Stack) -> None:
    stack.paid([payment["unique_id"] for payment in stack.send(amount="0.01", count=3, wait=True)])
    stack.idle()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
