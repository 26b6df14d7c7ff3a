"""Alerts to people: a message to Slack's incoming webhook, and always a line of the log, which the platform watches.

ALERTING_ENABLED=false, or a SLACK_ALERT_WEBHOOK that is no http(s) address, leaves it at the log (seeds/004).
A message that Slack does not take is not sent again: the log line is the alert that counts.
"""

from __future__ import annotations

import json

from service_code.kit import logs
from service_code.kit.outside import UnreachableError
from service_code.kit.runtime import Kit

#: Seconds that the request in hand waits for Slack.
TIMEOUT = 3.0

_log = logs.get("alerting")


class Alerts:
    """Says to people what they must know."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        url = kit.settings.secret("SLACK_ALERT_WEBHOOK").strip()
        enabled = kit.settings.config("ALERTING_ENABLED", "true").lower() != "false"
        self._url = url if enabled and url.startswith(("https://", "http://")) else ""

    async def say(self, headline: str, **facts: object) -> None:
        """Alert; never raises. `facts` are ids, codes and amounts: no address, key or token."""
        _log.error(headline, what="alert", status="alert", **facts)
        if not self._url:
            return
        lines = "\n".join(f"*{name}*: {value}" for name, value in facts.items() if value not in (None, ""))
        body = json.dumps({
            "text": f"[{self._kit.settings.stack}] {headline}",
            "blocks": [
                {"type": "header", "text": {"type": "plain_text", "text": f"[{self._kit.settings.stack}] {headline}"}},
                {"type": "section", "text": {"type": "mrkdwn", "text": lines or "-"}},
            ],
        }).encode()  # fmt: skip
        headers = {"Content-Type": "application/json"}
        try:
            answer = await self._kit.outside.call(
                "POST", self._url, what="Slack", headers=headers, body=body, timeout=TIMEOUT
            )
        except UnreachableError as error:
            _log.warning("Slack was not told", what="alert_lost", why=str(error))
            return
        if not 200 <= answer.status < 300:
            _log.warning("Slack was not told", what="alert_lost", why=f"it answered {answer.status}")
