"""What helps with a finding, as a command for the stack that it is of: our verbs, and elsewhere also Google's own."""

from __future__ import annotations

import json
import shlex
from typing import Protocol

import spec


class Helps(Protocol):
    """The commands of one stack."""

    def logs(self, about: str) -> str:
        """What was logged about a payment or an event."""

    def replay(self, payment: str) -> str:
        """Pay a dead payment after all."""

    def resend(self, payment: str) -> str:
        """Send the message of a payment that stands still once more."""

    def resend_all(self, more: str) -> str:
        """Send the messages of all that stand still once more."""

    def mark(self, payment: str) -> str:
        """Let a dead payment that is looked into be replayed again."""

    def run(self, queue: str, task: str) -> str:
        """Start a task that waits, or all of a queue where none is named."""

    def dead(self, status: str, code: str) -> str:
        """What is known of the dead of this status and code."""

    def replay_event(self, event: str) -> str:
        """Publish an event of PayNow anew."""

    def letters(self) -> str:
        """Messages that could not be handled."""

    def events(self) -> str:
        """Events of PayNow that failed or died."""

    def wallet(self) -> str:
        """The wallet that pays."""

    def queue(self, name: str) -> str:
        """How a queue stands that should dispatch and does not."""

    def schedules(self) -> str:
        """Whether the sweepers are called."""

    def resume(self, name: str) -> str:
        """Let a paused queue dispatch again."""


class Verbs:
    """The local stack's: verbs of `sluice`."""

    def logs(self, about: str) -> str:
        """Print the entries."""
        return f"./sluice logs --payment {shlex.quote(about)}"

    def replay(self, payment: str) -> str:
        """Replay."""
        return f"./sluice dead replay {shlex.quote(payment)}"

    def resend(self, payment: str) -> str:
        """Send."""
        return f"./sluice resend {shlex.quote(payment)}"

    def resend_all(self, more: str) -> str:
        """Send."""
        return f"./sluice resend --all {more}"

    def mark(self, payment: str) -> str:
        """Mark."""
        return f"./sluice dead mark {shlex.quote(payment)} dead"

    def run(self, queue: str, task: str) -> str:
        """Run."""
        return f"./sluice queues run {queue} {shlex.quote(task) if task else '--all'}"

    def dead(self, status: str, code: str) -> str:
        """List."""
        return f"./sluice dead list --status {status} --code {shlex.quote(code)}"

    def replay_event(self, event: str) -> str:
        """Replay."""
        return f"./sluice dead replay {shlex.quote(event)}"

    def letters(self) -> str:
        """List."""
        return "./sluice dead letters"

    def events(self) -> str:
        """List."""
        return "./sluice dead events"

    def wallet(self) -> str:
        """Show."""
        return "./sluice wallet show"

    def queue(self, name: str) -> str:
        """Describe it."""
        return f"./sluice queues describe {name}"

    def schedules(self) -> str:
        """Show them among all that runs."""
        return "./sluice status"

    def resume(self, name: str) -> str:
        """Resume it."""
        return f"./sluice queues resume {name}"


class Elsewhere:
    """A stack's on Google Cloud: the verbs that know `--stack`, and gcloud."""

    def __init__(self, config: spec.StackConfig) -> None:
        self._config = config

    def logs(self, about: str) -> str:
        """Read Cloud Logging."""
        wanted = shlex.quote(f"jsonPayload.unique_id={json.dumps(about)}")
        return f"gcloud logging read {wanted} --order asc --freshness 30d --project {self._config.project}"

    def replay(self, payment: str) -> str:
        """Replay."""
        return self._there(f"dead replay {shlex.quote(payment)}")

    def resend(self, payment: str) -> str:
        """Send."""
        return self._there(f"resend {shlex.quote(payment)}")

    def resend_all(self, more: str) -> str:
        """Send."""
        return self._there(f"resend --all {more}")

    def mark(self, payment: str) -> str:
        """Mark."""
        return self._there(f"dead mark {shlex.quote(payment)} dead")

    def run(self, queue: str, task: str) -> str:
        """Run."""
        return self._there(f"queues run {queue} {shlex.quote(task) if task else '--all'}")

    def dead(self, status: str, code: str) -> str:
        """List."""
        return self._there(f"dead list --status {status} --code {shlex.quote(code)}")

    def replay_event(self, event: str) -> str:
        """Replay."""
        return self._there(f"dead replay {shlex.quote(event)}")

    def letters(self) -> str:
        """List."""
        return self._there("dead letters")

    def events(self) -> str:
        """List."""
        return self._there("dead events")

    def wallet(self) -> str:
        """Show."""
        return self._there("wallet show")

    def queue(self, name: str) -> str:
        """Describe it."""
        return self._there(f"queues describe {name}")

    def schedules(self) -> str:
        """List the jobs."""
        return f"gcloud scheduler jobs list --location {self._config.region} --project {self._config.project}"

    def resume(self, name: str) -> str:
        """Resume it."""
        return self._there(f"queues resume {name}")

    def _there(self, verb: str) -> str:
        return f"./sluice {verb} --stack {self._config.name}"
