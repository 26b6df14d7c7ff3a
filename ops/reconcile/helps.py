"""What helps with a finding, as a command for the stack that it is of: our verbs, and elsewhere also Google's own."""

from __future__ import annotations

import json
import shlex

import spec
from ops.place import Place, option
from spec.stack import LOCAL


class Helps:
    """The commands of one stack: verbs of `sluice`."""

    def __init__(self, stack: str = LOCAL) -> None:
        self._stack = stack

    def logs(self, about: str) -> str:
        """What was logged about a payment or an event."""
        return self._verb(f"logs --payment {shlex.quote(about)}")

    def replay(self, payment: str) -> str:
        """Pay a dead payment after all."""
        return self._verb(f"dead replay {shlex.quote(payment)}")

    def show(self, id_: str) -> str:
        """Everything about one that is dead or refused."""
        return self._verb(f"dead show {shlex.quote(id_)}")

    def resend(self, payment: str) -> str:
        """Send the message of a payment that stands still once more."""
        return self._verb(f"resend {shlex.quote(payment)}")

    def resend_all(self, more: str) -> str:
        """Send the messages of all that stand still once more."""
        return self._verb(f"resend --all {more}")

    def mark(self, payment: str) -> str:
        """Let a dead payment that is looked into be replayed again."""
        return self._verb(f"dead mark {shlex.quote(payment)} dead")

    def run(self, queue: str, task: str) -> str:
        """Start a task that waits, or all of a queue where none is named."""
        return self._verb(f"queues run {queue} {shlex.quote(task) if task else '--all'}")

    def dead(self, status: str, code: str) -> str:
        """What is known of the dead of this status and code."""
        return self._verb(f"dead list --status {status} --code {shlex.quote(code)}")

    def refused(self) -> str:
        """What the exchange has refused of payouts by threshold."""
        return self._verb("dead list --flow threshold")

    def replay_event(self, event: str) -> str:
        """Publish an event of PayNow anew."""
        return self._verb(f"dead replay {shlex.quote(event)}")

    def letters(self) -> str:
        """Messages that could not be handled."""
        return self._verb("dead letters")

    def events(self) -> str:
        """Events of PayNow that failed or died."""
        return self._verb("dead events")

    def wallet(self) -> str:
        """The wallet that pays."""
        return self._verb("wallet show")

    def queue(self, name: str) -> str:
        """How a queue stands that should dispatch and does not."""
        return self._verb(f"queues describe {name}")

    def schedules(self) -> str:
        """Whether the sweepers are called."""
        return self._verb("status")

    def resume(self, name: str) -> str:
        """Let a paused queue dispatch again."""
        return self._verb(f"queues resume {name}")

    def _verb(self, command: str) -> str:
        return f"./sluice {command}{option(self._stack)}"


class Elsewhere(Helps):
    """A stack's on Google Cloud: where a verb knows no `--stack`, or shows less than Google does, gcloud."""

    def __init__(self, config: spec.StackConfig) -> None:
        super().__init__(config.name)
        self._config = config

    def logs(self, about: str) -> str:
        """Read Cloud Logging."""
        wanted = shlex.quote(f"jsonPayload.unique_id={json.dumps(about)}")
        return f"gcloud logging read {wanted} --order asc --freshness 30d --project {self._config.project}"

    def schedules(self) -> str:
        """List the jobs."""
        return f"gcloud scheduler jobs list --location {self._config.region} --project {self._config.project}"


def of(place: Place) -> Helps:
    """The commands of a place's stack."""
    return Helps() if place.local else Elsewhere(place.config)
