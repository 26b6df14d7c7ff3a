"""Notifications on their way: kept until they are delivered, or until it is clear that they will not be.

Owns the order of things: an incident and its notifications are on disk before anything is sent, so that each is sent at
least once and a killed cloud takes up what it had not finished. Nobody waits for a delivery but a move of the clock.
Times of retries are ours: Google says only that it retries.
"""

import itertools
from copy import deepcopy
from typing import Any

from local_cloud.alerting.incidents import Incident
from local_cloud.alerting.notices import VERSION
from local_cloud.alerting.notifications import KINDS, Kind, Undelivered
from local_cloud.alerting.words import CHANNEL
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.outgoing import Client

#: A delivery is tried so many times; the wait after the first failure, in seconds, is doubled each time.
ATTEMPTS, WAIT = 5, 10.0


class Outbox:
    """All notifications that are to be delivered."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._kept = cloud.store.json("alerting.outbox")
        self._left = list(self._kept)
        self._channels = cloud.store.messages(f"plain.{CHANNEL}", CHANNEL)
        self._serial = itertools.count(1 + max((int(name) for name in self._kept), default=0))
        self.client = Client()

    def start(self) -> None:
        """Takes up what a stop has left."""
        for name in self._left:
            self._send(name)

    def stop(self) -> None:
        """Drops connections."""
        self.client.close()

    def add(self, channel: str, incident: Incident) -> None:
        """Sends what the incident's notice says now."""
        name = str(next(self._serial))
        self._kept[name] = {
            "channel": self._cloud.canonical(channel),
            "body": {"incident": deepcopy(incident.notice), "version": VERSION},
            "tried": 0,
        }
        self._send(name)

    def _send(self, name: str) -> None:
        self._cloud.clock.spawn(self._deliver(name), "notification")

    async def _deliver(self, name: str) -> None:
        await self._cloud.store.committed()
        waiting = self._kept.get(name)
        if waiting is None:
            return
        channel = self._channels.get(waiting["channel"])
        if channel is None or not channel.enabled.value:
            self._end(name, "WARNING", "was dropped: the channel is " + ("gone" if channel is None else "disabled"))
            return
        kind = KINDS.get(channel.type)
        try:
            if kind is None:
                raise Undelivered(f"channels of type {channel.type} are not emulated")
            where = await _delivered(kind, self._cloud, self.client, channel, waiting["body"])
        except Undelivered as error:
            waiting["tried"] += 1
            if not error.again or waiting["tried"] >= ATTEMPTS:
                self._end(name, "ERROR", f"was given up after {waiting['tried']} attempts: {error}")
                return
            self._kept.save(name)
            wait = WAIT * 2 ** (waiting["tried"] - 1)
            self._log(waiting, "WARNING", f"failed and is tried again in {wait:.0f} s: {error}")
            self._cloud.clock.call_later(wait, lambda: self._send(name))
            return
        self._end(name, "INFO", f"was delivered to {where}")

    def _end(self, name: str, severity: str, text: str) -> None:
        waiting = self._kept.pop(name)
        if waiting is not None:
            self._log(waiting, severity, text)

    def _log(self, waiting: dict[str, Any], severity: str, text: str) -> None:
        incident = waiting["body"]["incident"]
        what = f"The notification of {incident['state']} incident {incident['incident_id']}"
        fields = {"component": "alerting", "channel": waiting["channel"], "policy_name": incident["policy_name"]}
        self._cloud.log.event(severity, f"{what} {text}.", **fields)


async def _delivered(kind: Kind, cloud: Cloud, client: Client, channel: Message, body: dict[str, Any]) -> str:
    """Delivers; what nobody foresaw (a full disk) is a failure that may pass."""
    try:
        return await kind.deliver(cloud, client, channel, body)
    except Undelivered:
        raise
    except Exception as error:
        raise Undelivered(f"{type(error).__name__}: {error}", again=True) from error
