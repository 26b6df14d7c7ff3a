"""Letting the buyer into the channel by the Bot API: an effect of its own, independent of the split (DECISIONS 2).

Idempotent by its row: a link is made once, for one member, and stored before it is sent. A crash between making and
storing leaves a link that nobody was told of; a crash between sending and marking sends the same link again.
"""

from __future__ import annotations

import json
from typing import Any

from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.orders import GrantAccess
from service_code.kit.outcomes import Dead, Done, Outcome, Retry
from service_code.kit.outside import UnreachableError
from service_code.kit.runtime import Kit

#: The code of what the Bot API will not do.
REFUSED = "TELEGRAM_REFUSED"
_log = logs.get("access")


class TelegramRefusedError(RuntimeError):
    """The Bot API will not do this for this chat or user."""


class ChannelAccess:
    """Grants access to channels."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._base = f"{kit.settings.endpoints.telegram.rstrip('/')}/bot{kit.settings.secret('TELEGRAM_BOT_TOKEN')}"

    async def grant(self, order: GrantAccess, call: Call) -> Outcome:
        """POST /grant-access: make the link, send it, mark it."""
        db = self._kit.db
        row = await db.row("SELECT invite_link, granted_at FROM channel_access WHERE unique_id = $1", order.unique_id)
        if row is None:
            return Dead("UNKNOWN_PAYMENT", "no payment of this id is recorded here")
        if row["granted_at"] is not None:
            return Done("already_processed")
        try:
            link = row["invite_link"] or await self._make_link(order)
            invitation = {"chat_id": order.user_id, "text": f"Welcome! Your access to the channel: {link}"}
            await self._ask("sendMessage", invitation)
        except UnreachableError as error:
            return Retry(str(error))
        except TelegramRefusedError as error:
            connection = await call.begin()
            sql = "UPDATE channel_access SET refused_at = $2 WHERE unique_id = $1"
            await connection.execute(sql, order.unique_id, call.now)
            return Dead(REFUSED, str(error))
        connection = await call.begin()
        sql = "UPDATE channel_access SET granted_at = $2 WHERE unique_id = $1 AND granted_at IS NULL"
        await connection.execute(sql, order.unique_id, call.now)
        return Done("granted")

    async def _make_link(self, order: GrantAccess) -> str:
        wish = {"chat_id": order.channel_id, "name": order.unique_id, "member_limit": 1}
        link = str((await self._ask("createChatInviteLink", wish)).get("invite_link") or "")
        if not link:
            raise UnreachableError("Bot API: the answer has no link")
        sql = """
            UPDATE channel_access SET invite_link = coalesce(invite_link, $2) WHERE unique_id = $1
            RETURNING invite_link
            """
        row = await self._kit.db.row(sql, order.unique_id, link)
        return str(row["invite_link"]) if row else link

    async def _ask(self, method: str, fields: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        answer = await self._kit.outside.call(
            "POST", f"{self._base}/{method}", what="Bot API", headers=headers, body=json.dumps(fields).encode()
        )
        body = answer.json()
        if answer.status in (400, 403):
            description = str(body.get("description", ""))[:200] if isinstance(body, dict) else ""
            raise TelegramRefusedError(f"{method}: {answer.status} {description}")
        if answer.status != 200 or not isinstance(body, dict) or body.get("ok") is not True:
            if answer.status in (401, 404):
                _log.error("the Bot API does not know our bot", what="bad_bot_token", status="error")
            raise UnreachableError(f"Bot API: {method} answered {answer.status}")
        result = body.get("result")
        return result if isinstance(result, dict) else {}
