"""What operators may do: invite a client for a channel, and see who is registered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from service_code.gcregister import invitation
from service_code.gcregister.form import is_channel
from service_code.gcregister.invitation import Invitation
from service_code.gcregister.register import stamp
from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.keys import NAMED, PLAIN
from service_code.kit.messages import UnreadableError, parse_json
from service_code.kit.money import Amount
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply
from service_code.kit.threshold import UNIT

#: How long an invitation is good where nothing is said, and at most.
VALID_HOURS = 7 * 24
LONGEST_HOURS = 90 * 24
#: Clients that one listing shows.
LISTED = 500

_log = logs.get("operate")


class Desk:
    """Answers operators."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._key = kit.settings.secret("REGISTRATION_KEY")
        self._version = NAMED if kit.settings.config("KEY_IDS", "false") == "true" else PLAIN

    async def invite(self, incoming: Incoming, call: Call) -> Reply:
        """POST /invitations {channel_id, valid_hours}: a newer one lets its holder change what is registered."""
        try:
            wish = parse_json(incoming.body)
        except UnreadableError as error:
            return Reply(400, {"error": error.code, "reason": error.why})
        wish = wish if isinstance(wish, dict) else {}
        channel_id, hours = wish.get("channel_id"), wish.get("valid_hours", VALID_HOURS)
        if type(channel_id) is not int or not channel_id or not -(2**63) <= channel_id < 2**63:
            return Reply(400, {"error": "BAD_CHANNEL", "reason": "channel_id is a whole number such as -1001234567890"})
        if type(hours) is not int or not 1 <= hours <= LONGEST_HOURS:
            return Reply(400, {"error": "BAD_HOURS", "reason": f"valid_hours is a whole number up to {LONGEST_HOURS}"})
        made = Invitation(channel_id=channel_id, issued_at=call.now, expires_at=call.now + timedelta(hours=hours))
        _log.info("invited", status="invited", expires_at=stamp(made.expires_at))
        text = invitation.mint(made, self._key, version=self._version)
        return Reply(200, {"invitation": text, "channel_id": channel_id, "expires_at": stamp(made.expires_at)})

    async def clients(self, _incoming: Incoming, _call: Call) -> Reply:
        """GET /clients."""
        rows = await self._kit.db.fetch("SELECT * FROM main_clients_database ORDER BY channel_id LIMIT $1", LISTED)
        return Reply(200, {"clients": [_shown(row) for row in rows]})

    async def client(self, incoming: Incoming, _call: Call) -> Reply:
        """GET /clients/{channel_id}, with all registrations of the channel."""
        text = incoming.path["channel_id"]
        number = int(text) if is_channel(text) else 0
        sql = "SELECT * FROM registrations WHERE channel_id = $1 ORDER BY received_at LIMIT $2"
        asked = await self._kit.db.fetch(sql, number, LISTED)
        if not asked:
            return Reply(404, {"error": "NOT_FOUND", "reason": "nobody has registered this channel"})
        row = await self._kit.db.row("SELECT * FROM main_clients_database WHERE channel_id = $1", number)
        return Reply(200, {"client": _shown(row) if row else None, "registrations": [_shown(one) for one in asked]})


def _shown(row: Any) -> dict[str, Any]:
    units = row["threshold_usdt"]
    shown = {name: stamp(value) if name.endswith("_at") else value for name, value in dict(row).items()}
    return {**shown, "threshold_usdt": None if units is None else Amount(currency=UNIT, units=units).text()}
