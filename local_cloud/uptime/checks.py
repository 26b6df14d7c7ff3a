"""Uptime checks on the cloud's clock: each at its period, its results as the metrics of monitoring.googleapis.com.

Owns the timers, the checkers' locations and the series. One request is made at a time for a check, whatever number of
regions it is made from: here they are one machine, and each location gets the same result.
"""

import asyncio
from urllib.parse import urlsplit

from local_cloud.clock import Timer
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum
from local_cloud.metrics.descriptors import METRICS
from local_cloud.metrics.series import SECOND, Run, Value, key
from local_cloud.uptime.probe import Result, Target, on_this_machine, run

REGIONS = {n: name for name, n in enum("google.monitoring.v3.UptimeCheckRegion").items()}
#: Where the checkers of a region stand.
LOCATIONS = {
    "USA": ("usa-iowa", "usa-oregon", "usa-virginia"),
    "USA_IOWA": ("usa-iowa",),
    "USA_OREGON": ("usa-oregon",),
    "USA_VIRGINIA": ("usa-virginia",),
    "EUROPE": ("eur-belgium",),
    "SOUTH_AMERICA": ("sa-brazil-sao_paulo",),
    "ASIA_PACIFIC": ("apac-singapore",),
}
EVERYWHERE = ("USA", "EUROPE", "SOUTH_AMERICA", "ASIA_PACIFIC")
PREFIX = "monitoring.googleapis.com/uptime_check"
#: Requests on their way at once.
AT_ONCE = 8


class Checks:
    """The timers of all checks."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._timers: dict[str, Timer] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._told: set[tuple[str, str]] = set()

    def begin(self, config: Message) -> None:
        """Check from now on; what ran under its name ends."""
        self.end(config.name)
        self._arm(config)

    def end(self, name: str) -> None:
        """Check no more."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _arm(self, config: Message) -> None:
        seconds = config.period.ToNanoseconds() / SECOND
        self._timers[config.name] = self._cloud.clock.call_later(seconds, lambda: self._due(config))

    def _due(self, config: Message) -> None:
        self._arm(config)
        target = self._target(config)
        if target is None:
            self._tell(config, "its resource is of no kind that is checked here")
        elif not on_this_machine(target.host):
            self._tell(config, f"{target.host} is not on this machine, and the local cloud goes no further")
        else:
            self._cloud.clock.spawn(self._check(config, target), "uptime checks")

    async def _check(self, config: Message, target: Target) -> None:
        async with self._room:
            result = await asyncio.to_thread(run, config, target)
        if config.name not in self._timers:
            return
        self._write(config, result)
        if result.error:
            self._tell(config, f"{target.host}:{target.port} does not answer: {result.error}")

    def _target(self, config: Message) -> Target | None:
        """Where the resource of a check is."""
        resource, check = config.monitored_resource, config.http_check
        if config.WhichOneof("check_request_type") == "tcp_check":
            return Target(resource.labels["host"], config.tcp_check.port) if resource.type == "uptime_url" else None
        if resource.type == "uptime_url":
            port = check.port or (443 if check.use_ssl else 80)
            return Target(resource.labels["host"], port, check.use_ssl)
        if resource.type == "cloud_run_revision":
            labels, number = resource.labels, self._cloud.settings.project_number
            door = urlsplit(f"http://{self._cloud.settings.reachable_host}:{self._cloud.ports['rest']}")
            prefix = f"/run/{labels['service_name']}-{number}.{labels['location']}"
            return Target(door.hostname or "", door.port or 80, prefix=prefix)
        return None

    def _write(self, config: Message, result: Result) -> None:
        resource, now = config.monitored_resource, int(self._cloud.now() * SECOND)
        values: dict[str, Value] = {"check_passed": result.passed, "request_latency": result.milliseconds}
        if result.status:
            values |= {"http_status": result.status, "content_mismatch": result.mismatch}
        checked = resource.labels.get("host") or resource.labels.get("service_name", "")
        labels = {"check_id": config.name.rpartition("/")[2], "checked_resource_id": checked}
        named = {"project_id": self._cloud.project, **resource.labels}
        for location in locations(config):
            for name, value in values.items():
                metric = METRICS[f"{PREFIX}/{name}"]
                series = key(metric.type, resource.type, named, labels | {"checker_location": location})
                self._cloud.meter.points.append(series, metric.kind, metric.value, Run(now, now, 1, value))
        self._cloud.meter.changed()

    def _tell(self, config: Message, why: str) -> None:
        """Once for each reason."""
        if (config.name, why) not in self._told:
            self._told.add((config.name, why))
            self._cloud.log.event("WARNING", f"Uptime check {config.display_name!r}: {why}.", check=config.name)


def locations(config: Message) -> list[str]:
    """Where a check is made from."""
    chosen = [REGIONS[region] for region in config.selected_regions] or EVERYWHERE
    return list(dict.fromkeys(place for region in chosen for place in LOCATIONS.get(region, ())))
