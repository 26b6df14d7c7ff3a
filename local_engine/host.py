"""Runs a Pulumi program in this process: its own thread, event loop, context and configuration, so that nothing leaks.

The SDK keeps its settings in context variables; a thread that starts with an empty context makes each run the first
one. The program's registrations run on a bounded pool, which is how many resources are applied at once; where none
waits for a cloud, they run in turn and no thread is woken. The cyclic collector rests meanwhile: with it registering
is half as fast and grows with the number of resources.
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pulumi.runtime import config as pulumi_config
from pulumi.runtime.settings import Settings, configure
from pulumi.runtime.stack import run_in_stack

from .monitor import EngineLog, EngineMonitor

#: The organization that Pulumi reports for state that is not in its service.
ORGANIZATION: Final = "organization"

Program = Callable[[], None]


def program_at(root: Path) -> Program:
    """The program in ``stacks/__main__.py``, as the real engine would run it."""
    path = root / "stacks" / "__main__.py"

    def program() -> None:
        code = compile(path.read_text("utf-8"), str(path), "exec")
        exec(code, {"__name__": "__main__", "__file__": str(path)})

    return program


def host(
    program: Program,
    monitor: EngineMonitor,
    log: EngineLog,
    *,
    project: str,
    stack: str,
    config: Mapping[str, Any],
    root: Path,
    preview: bool,
    parallel: int,
    on_stop: Callable[[str], None],
) -> None:
    """Run ``program`` to its end; what it raises is raised here. With ``parallel`` 0 registrations run in turn.

    ``on_stop`` is told why nothing more is to be begun.
    """
    raised: list[BaseException] = []

    def main() -> None:
        loop = asyncio.new_event_loop() if parallel else _InTurn()
        asyncio.set_event_loop(loop)
        pool = ThreadPoolExecutor(parallel or 1, thread_name_prefix=f"apply-{stack}")
        loop.set_default_executor(pool)
        settings = Settings(
            project=project,
            stack=stack,
            monitor=monitor,
            engine=log,
            dry_run=preview,
            organization=ORGANIZATION,
            root_directory=str(root),
        )
        try:
            configure(settings)
            pulumi_config.set_all_config({key: _text(value) for key, value in config.items()})
            loop.run_until_complete(run_in_stack(lambda: _to_its_end(program, on_stop)))
        except BaseException as error:
            raised.append(error)
        finally:
            _drained(loop)
            pool.shutdown(wait=True)
            loop.close()

    thread = threading.Thread(target=main, name=f"program-{stack}", daemon=True)
    with _collector_resting():
        thread.start()
        interrupted = False
        while thread.is_alive():
            try:
                thread.join(0.5)
            except KeyboardInterrupt:
                interrupted = True
                on_stop("the run was interrupted")
    if interrupted:
        raise KeyboardInterrupt
    if raised:
        raise raised[0]


async def _to_its_end(program: Program, on_stop: Callable[[str], None]) -> None:
    """Run it, and wait for all that it began; the SDK's own wait looks at every output again after each.

    What a program that fails has declared is told first that it fails: registrations begin when this loop has its turn.
    They are not cancelled: the SDK would wait for their outputs without end.
    """
    try:
        program()
    except BaseException:
        on_stop("the program failed")
        raise
    this = asyncio.current_task()
    while others := [task for task in asyncio.all_tasks() if task is not this]:
        await asyncio.wait(others)


class _InTurn(asyncio.SelectorEventLoop):
    """A loop that does at once what the SDK would hand to a thread."""

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # noqa: ARG002
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


def _drained(loop: asyncio.AbstractEventLoop) -> None:
    """End what a program that failed left waiting, without a word on the terminal."""
    loop.set_exception_handler(lambda loop, context: None)  # noqa: ARG005 - its error is reported already
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value)


@contextmanager
def _collector_resting() -> Iterator[None]:
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
