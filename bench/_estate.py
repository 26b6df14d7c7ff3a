"""A checkout of any number of queues, written as specs: the production stacks over an invented drawing.

Every service has a database and a secret, takes what twenty queues bring it, and sends over those of the next one;
everything else is the specs' default. The rooms that `sluice preview` runs, the program among them, are this
checkout's own; so are the channels that the stacks name. What its dashboards watch is not drawn here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What `sluice preview` needs of a checkout, besides the drawing.
ROOMS = ("stacks", "spec", "components", "local_cloud", "local_engine", "ops")
#: What a project of this size has asked Google for.
QUOTAS = "  sluice:quotas: {queues: 5000, scheduler_jobs: 5000, service_accounts: 5000, services: 5000}\n"
#: Queues into one service.
QUEUES = 20

_SCHEMA = "# yaml-language-server: $schema={}schema/{}.json\n"


def written(folder: Path, queues: int) -> None:
    """Write the checkout into a folder that is not there yet."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "dashboards" / "channels", folder / "dashboards" / "channels")
    prod = folder / "stacks" / "Pulumi.prod.yaml"
    prod.write_text(prod.read_text("utf-8") + QUOTAS, "utf-8")
    stations = -(-queues // QUEUES)
    names = [f"station{number:03}" for number in range(stations)]
    for name in names:
        _write(folder / "service_code" / name / "service.yaml", _service(name))
        _write(folder / "queue_configs" / "secrets" / f"{_key(name)}.yaml", _secret(name))
    for number in range(queues):
        to = number // QUEUES
        file = folder / "queue_configs" / "tasks" / f"step{number:04}-queue.yaml"
        _write(file, _queue(names[(to - 1) % stations], names[to]))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _key(service: str) -> str:
    return f"{service.upper()}_KEY"


def _secret(service: str) -> str:
    return _SCHEMA.format("../", "secret") + f"description: What {service} signs with.\n"


def _service(name: str) -> str:
    return (
        _SCHEMA.format("../../queue_configs/", "service")
        + f"description: The station {name} of a line.\n"
        + "handles: {/work: Order}\nschedules:\n"
        + '  sweep: {path: /sweep, cron: "* * * * *"}\n'
        + f"operator_paths: [/health]\nsecrets: [{_key(name)}]\ndatabase: true\n"
    )


def _queue(sender: str, receiver: str) -> str:
    return (
        _SCHEMA.format("../", "task_queue")
        + f"from: [{sender}]\nto: {receiver}\npath: /work\nmessage: Order\n"
        + "rate: {dispatches_per_second: 50, concurrent: 20}\n"
        + "retry: {max_attempts: 5, min_backoff: 1s, max_backoff: 60s, max_doublings: 5}\n"
    )
