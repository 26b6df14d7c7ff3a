"""What a stack says about alerts: how each channel is reached, and where the runbook is read.

Owns the key `sluice:watching`. A channel that needs a secret (Slack, PagerDuty, a webhook with a password) is made by
hand once and named by its id, so that its token is neither in git nor in state.

Source: https://cloud.google.com/monitoring/alerts/using-channels-api (types of channels and their labels).
"""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import model_validator

from spec.errors import Refused
from spec.model import Model, field
from spec.secret_forms import SECRET_WEBHOOKS

_LEAK = "whoever reads git or the stack's state could write to the channel"


class Address(Model):
    """How a channel is reached: one of three ways."""

    id: str | None = field(
        None,
        "A channel that exists already, made by hand with its token: Slack, PagerDuty.",
        pattern=r"^projects/[^/]+/notificationChannels/[0-9]+$",
        breaks="Monitoring finds no such channel, and refuses every policy that names it",
        fix="write projects/PROJECT/notificationChannels/NUMBER, as `gcloud beta monitoring channels list` prints it",
    )
    email: str | None = field(
        None,
        "An address that mail is sent to.",
        pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
        breaks="Monitoring refuses the channel",
        fix="write an address: payments@example.com",
    )
    webhook: str | None = field(
        None,
        "A URL without a secret that incidents are posted to.",
        pattern=r"^https?://[^\s]+$",
        breaks="Monitoring refuses the channel",
        fix="write a URL: https://pager.example.com/incidents",
    )

    @property
    def kind(self) -> str | None:
        """The type of a channel that the program makes; None for one that exists."""
        return "email" if self.email is not None else "webhook_tokenauth" if self.webhook is not None else None

    @property
    def labels(self) -> dict[str, str]:
        """Its labels in Monitoring."""
        if self.email is not None:
            return {"email_address": self.email}
        return {"url": self.webhook} if self.webhook is not None else {}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.id, self.email, self.webhook)) != 1:
            raise Refused(
                "a channel is reached in one way",
                breaks="nobody would know where incidents arrive",
                fix="write one of id:, email: and webhook:",
            )
        parts = urlsplit(self.webhook or "")
        if parts.username or parts.query or (parts.hostname or "").endswith(SECRET_WEBHOOKS):
            raise Refused(
                "the URL holds a secret",
                key="webhook",
                breaks=_LEAK,
                fix="make the channel by hand, and write its id: instead of the URL",
            )
        return self


class Watching(Model):
    """Channels of one stack, and its runbook."""

    runbook: str | None = field(
        None,
        "The URL of docs/runbook.md; incidents link to its sections.",
        pattern=r"^https?://[^\s#]+$",
        breaks="the link of every incident would lead nowhere",
        fix="write the page's URL without a #section",
    )
    channels: dict[str, Address] = field(
        {},
        "How each channel of dashboards/channels/ is reached; one that is left out is not made in this stack.",
        breaks="nobody would be told",
        fix="write channel: and below it one of id:, email: and webhook:",
    )
