"""What one local cloud is started with: its names, its ports, where its state lies.

Each setting is one field: its default, its help and what it may be stand here, and the command line is made from them
(`python -m local_cloud --help`). A field made without `option` has no place on the command line.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Bodies and messages above this are refused (413 / RESOURCE_EXHAUSTED), as Google's front end does at 10 MB.
MAX_REQUEST_BYTES = 10 * 1024 * 1024

#: What `--project` takes.
_PROJECT = re.compile(r"[A-Za-z](?:[A-Za-z0-9.:-]{0,61}[A-Za-z0-9])?")
#: What `--queue` takes beside a plain id.
_QUEUE = re.compile(r"projects/([^/]+)/locations/([^/]+)/queues/([^/]+)")


def option(default: Any, help: str, *, kind: Callable[[str], Any] = str, flags: Sequence[str] = (), **more: Any) -> Any:
    """A setting of the command line; `more` is argparse's (choices, metavar, action, nargs)."""
    return field(default=default, metadata={"help": help, "type": kind, "flags": tuple(flags), **more})


def project_id(text: str) -> str:
    """A project's id. Ones that Google would not give (short, with capitals) are taken: code under test has them."""
    if text.isdecimal():
        raise ValueError(f"{text} is a project number: give the project's id, and this as --project-number")
    if not _PROJECT.fullmatch(text):
        better = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        hint = f", such as {better}" if _PROJECT.fullmatch(better) else ""
        raise ValueError(f"{text!r} is no project id: letters, digits and hyphens, a letter first, 63 at most{hint}")
    return text


def project_number(text: str) -> str:
    """A project's number."""
    if not re.fullmatch(r"[1-9][0-9]{0,18}", text):
        raise ValueError(f"{text!r} is no project number: digits only, such as 123456789012")
    return text


def location_id(text: str) -> str:
    """A region. Any name is taken, so that code with a made-up one runs too."""
    if not re.fullmatch(r"[A-Za-z0-9-]{1,63}", text):
        raise ValueError(f"{text!r} is no location: letters, digits and hyphens, such as us-central1")
    return text


def port_number(text: str) -> int:
    """A TCP port; 0 chooses a free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"{text!r} is no port: a number from 0 (a free one is chosen) to 65535")
    return int(text)


def queue_name(text: str) -> str:
    """A queue's id, or its full resource name."""
    parts = _QUEUE.fullmatch(text)
    if parts:
        project_id(parts[1])
        location_id(parts[2])
    elif "/" in text:
        raise ValueError(f"{text!r} is no queue: give its id, or projects/PROJECT/locations/LOCATION/queues/QUEUE")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,100}", parts[3] if parts else text):
        raise ValueError(f"{text!r} is no queue: a queue's id has letters, digits and hyphens, 100 at most")
    return text


def seconds(text: str) -> float:
    """A span of time."""
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError(f"{text!r} is no number of seconds")
    return float(text)


def app_host(text: str) -> str:
    """Where an App Engine application serves: an http(s) URL without a path."""
    if text and not re.fullmatch(r"https?://[^/?#\s]+/?", text):
        raise ValueError(f"{text!r} is no host: give a URL without a path, such as http://localhost:8080")
    return text.rstrip("/")


def postgres_url(text: str) -> str:
    """Where a Postgres server is, and who administers it."""
    if text and not re.match(r"postgres(ql)?://", text):
        raise ValueError(f"{text!r} is no Postgres URL: postgresql://USER@HOST:PORT/postgres")
    return text


def web_address(text: str) -> str:
    """Where something is posted to: an http(s) URL."""
    if text and not re.fullmatch(r"https?://[^/?#\s]+\S*", text):
        raise ValueError(f"{text!r} is no URL: give one such as http://localhost:8080/hook")
    return text


def rate(text: str) -> float:
    """Dispatches a second."""
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError(f"{text!r} is no rate: dispatches a second, such as 5 or 0.5")
    return float(text)


def share(text: str) -> float:
    """A share of one."""
    if not re.fullmatch(r"0(\.\d+)?|1(\.0+)?", text):
        raise ValueError(f"{text!r} is no share: a number from 0 to 1, such as 0.1")
    return float(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The command line, typed."""

    state: Path
    #: The state is a temporary directory, which goes when the cloud ends.
    fresh: bool = False
    project: str = option("sluice-local", "the project's id", kind=project_id, metavar="ID")
    project_number: str = option("123456789012", "the project's number", kind=project_number, metavar="NUMBER")
    location: str = option("us-central1", "the home region", kind=location_id, metavar="REGION")
    queues: tuple[str, ...] = option(
        (),
        "a queue to make where it is missing, by id or full resource name; may be given again",
        kind=queue_name,
        flags=("--queue",),
        action="append",
        metavar="QUEUE",
    )
    host: str = option(
        "127.0.0.1",
        "the address to listen on; the owner's door answers by any name where it is none of this machine's own",
        metavar="ADDRESS",
    )
    rest_port: int = option(
        0,
        "the owner's door, REST and gRPC on one port; 0 chooses a free one",
        kind=port_number,
        flags=("--port", "--rest-port"),
        metavar="PORT",
    )
    grpc_port: int = option(0, "the owner's door for gRPC alone", kind=port_number, metavar="PORT")
    service_rest_port: int = option(
        0, "the door that asks for credentials, REST and gRPC", kind=port_number, metavar="PORT"
    )
    service_grpc_port: int = option(
        0, "the door that asks for credentials, gRPC alone", kind=port_number, metavar="PORT"
    )
    iam_mode: str = option(
        "enforce",
        "enforce refuses, audit only records what it would have refused, off asks nothing",
        choices=("enforce", "audit", "off"),
    )
    iam_delay: float = option(
        0.0, "until a changed policy takes effect; Google's take up to minutes", kind=seconds, metavar="SECONDS"
    )
    strict_apis: bool = option(
        False, "begin with the APIs that Google enables in a new project, and refuse the others", action="store_true"
    )
    app_engine_host: str = option(
        "",
        "where App Engine tasks go, such as http://localhost:8080; may have {service}, {version} and {instance} in it; "
        "without it $APP_ENGINE_EMULATOR_HOST",
        kind=app_host,
        metavar="URL",
    )
    tasks_ramp_up: float = option(
        0.0,
        "new and idle queues begin at so many dispatches a second and get half as fast again every 5 minutes",
        kind=rate,
        metavar="RATE",
    )
    tasks_duplicates: float = option(
        0.0,
        "the share of successful tasks that are delivered a second time (0.1: one in ten)",
        kind=share,
        metavar="SHARE",
    )
    metric_lag: float = option(
        0.0, "until points of metrics can be read; Google's take up to 3 minutes", kind=seconds, metavar="SECONDS"
    )
    postgres: str = option(
        "",
        "the administrator's URL of a Postgres server, such as postgresql://postgres@127.0.0.1:5432/postgres: Cloud "
        "SQL's databases and users are made there; without it they are only kept",
        kind=postgres_url,
        metavar="URL",
    )
    slack_url: str = option(
        "",
        "an incoming webhook of Slack that alerts go to; without it they are lines of notifications/slack.jsonl in the "
        "state",
        kind=web_address,
        metavar="URL",
    )
    pagerduty_url: str = option(
        "",
        "where PagerDuty events of alerts go; without it they are lines of notifications/pagerduty.jsonl in the state",
        kind=web_address,
        metavar="URL",
    )
    zone: str = ""

    @property
    def metadata_zone(self) -> str:
        """The zone that the metadata server names."""
        return self.zone or f"{self.location}-1"

    @property
    def reachable_host(self) -> str:
        """Where clients on this machine find the doors: an address for all interfaces is none to call."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "") else self.host

    @property
    def queue_names(self) -> tuple[str, ...]:
        """The full names of the queues that were asked for."""
        home = f"projects/{self.project}/locations/{self.location}/queues"
        return tuple(queue if "/" in queue else f"{home}/{queue}" for queue in self.queues)


def places_of(queues: Sequence[str]) -> tuple[list[str], list[str]]:
    """The projects and the locations that full queue names speak of, each once."""
    found = [match for queue in queues if (match := _QUEUE.fullmatch(queue))]
    return sorted({match[1] for match in found}), sorted({match[2] for match in found})
