"""What helps with a finding, as a command for the stack that it is of: our verbs for the local one, Google's elsewhere.

The verbs of `sluice` that call services know the local stack alone; on Google Cloud the same doors are called by hand,
as docs/deploy.md has it under `Operators`.
"""

from __future__ import annotations

import json
import shlex
from typing import Protocol
from urllib.parse import quote

import spec


class Helps(Protocol):
    """The commands of one stack."""

    def logs(self, about: str) -> str:
        """What was logged about a payment or an event."""

    def replay(self, payment: str) -> str:
        """Pay a dead payment after all."""

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
    """The local stack's: verbs of `sluice`, and gcloud pointed at its cloud."""

    def __init__(self, region: str) -> None:
        self._region = region

    def logs(self, about: str) -> str:
        """Print the entries."""
        return f"./sluice logs --payment {shlex.quote(about)}"

    def replay(self, payment: str) -> str:
        """Replay."""
        return f"./sluice dead replay {shlex.quote(payment)}"

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

    def queue(self, name: str) -> str:  # noqa: ARG002 - the verb shows all
        """Show it among all queues."""
        return "./sluice status"

    def schedules(self) -> str:
        """Show them among all that runs."""
        return "./sluice status"

    def resume(self, name: str) -> str:
        """In a shell of its own: this one's gcloud goes on meaning what it meant."""
        return f'(eval "$(./sluice env)"; gcloud tasks queues resume {name} --location {self._region})'


class ByHand:
    """A stack's on Google Cloud: the services' doors as the operator's account, and gcloud."""

    def __init__(self, config: spec.StackConfig) -> None:
        self._config = config
        self._operator = spec.names.account_email(spec.names.OPERATOR_ACCOUNT_ID, config.project)

    def logs(self, about: str) -> str:
        """Read Cloud Logging."""
        wanted = shlex.quote(f"jsonPayload.unique_id={json.dumps(about)}")
        return f"gcloud logging read {wanted} --order asc --freshness 30d --project {self._config.project}"

    def replay(self, payment: str) -> str:
        """Call the door."""
        return self._door("gcsplit", f"/dead/{quote(payment, safe='')}/replay", "-X POST ")

    def dead(self, status: str, code: str) -> str:
        """Call the door."""
        return self._door("gcsplit", f"/failed-transactions?status={status}&code={quote(code, safe='')}")

    def replay_event(self, event: str) -> str:
        """Call the door."""
        return self._door("paynowwebhook", f"/dead/{quote(event, safe='')}/replay", "-X POST ")

    def letters(self) -> str:
        """Call the door."""
        return self._door("gcsplit", "/dead-letters")

    def events(self) -> str:
        """Call the door."""
        return self._door("paynowwebhook", "/dead")

    def wallet(self) -> str:
        """Call the door."""
        return self._door("gchostpay", "/wallet")

    def queue(self, name: str) -> str:
        """Describe it."""
        return self._queues("describe", name)

    def schedules(self) -> str:
        """List the jobs."""
        return f"gcloud scheduler jobs list --location {self._config.region} --project {self._config.project}"

    def resume(self, name: str) -> str:
        """Resume it."""
        return self._queues("resume", name)

    def _door(self, service: str, path: str, method: str = "") -> str:
        url = self._config.url(service)
        # The door looks at who is calling: a token of an impersonated account says so with --include-email alone.
        token = f"gcloud auth print-identity-token --audiences {url} --include-email"
        return (
            f'curl {method}-H "Authorization: Bearer $({token} --impersonate-service-account {self._operator})" '
            f"{shlex.quote(url + path)}"
        )

    def _queues(self, verb: str, name: str) -> str:
        return f"gcloud tasks queues {verb} {name} --location {self._config.region} --project {self._config.project}"
