"""The part of Telegram's Bot API that the services call.

Owns: getMe, createChatInviteLink and sendMessage with the real one's answers and refusals, and a record of
every call, counted per chat, so that an effect that happened twice can be seen. Leaves alone: whether a chat
exists: every id does.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from sandbox.clock import Clock
from sandbox.faults import Fault, Faults, bitten
from sandbox.keys import Keys
from sandbox.store import Store


class _RefusedError(Exception):
    def __init__(self, code: int, description: str) -> None:
        super().__init__(description)
        self.body = {"ok": False, "error_code": code, "description": description}
        self.code = code


class Telegram:
    """The bot's server."""

    def __init__(self, store: Store, clock: Clock, keys: Keys, faults: Faults, token: str) -> None:
        self._store = store
        self._clock = clock
        self._keys = keys
        self._faults = faults
        self._token = token

    def routes(self) -> list[web.RouteDef]:
        """The API's paths (GET or POST, as there) and the record."""
        return [
            web.get("/telegram/sent", self._sent),
            web.route("*", "/telegram/bot{token}/{method}", self._entry),
        ]

    async def _entry(self, request: web.Request) -> web.StreamResponse:
        def fail(fault: Fault) -> web.Response:
            body = {"ok": False, "error_code": fault.status, "description": fault.message}
            return web.json_response(body, status=fault.status)

        fault = self._faults.take("telegram", request.match_info["method"])
        return await bitten(request, fault, lambda: self._call(request), fail)

    async def _call(self, request: web.Request) -> web.Response:
        method, asked = request.match_info["method"], await self._parameters(request)
        try:
            if request.match_info["token"] != self._token:
                raise _RefusedError(401, "Unauthorized")
            handlers = {"getme": self._me, "createchatinvitelink": self._invite, "sendmessage": self._message}
            handler = handlers.get(method.lower())
            if handler is None:
                raise _RefusedError(404, "Not Found")
            response, status = {"ok": True, "result": handler(asked)}, 200
        except _RefusedError as refusal:
            response, status = refusal.body, refusal.code
        self._store.run(
            "INSERT INTO telegram (at, method, chat_id, request, ok, response) VALUES (?, ?, ?, ?, ?, ?)",
            self._clock.now(), method, str(asked["chat_id"]) if asked.get("chat_id") else None,
            json.dumps(asked), int(status == 200), json.dumps(response),
        )  # fmt: skip
        return web.json_response(response, status=status)

    @staticmethod
    async def _parameters(request: web.Request) -> dict[str, Any]:
        found: dict[str, Any] = dict(request.query)
        if request.content_type == "application/json" and request.can_read_body:
            try:
                body = await request.json()
            except ValueError:
                return found
            return found | (body if isinstance(body, dict) else {})
        return found | {key: str(value) for key, value in (await request.post()).items()}

    def _count(self) -> int:
        row = self._store.row("SELECT count(*) AS n FROM telegram")
        return int(row["n"]) + 1 if row else 1

    def _bot(self) -> dict[str, Any]:
        return {"id": 7_000_000_001, "is_bot": True, "first_name": "Sluice sandbox", "username": "sluice_sandbox_bot"}

    def _me(self, _: dict[str, Any]) -> dict[str, Any]:
        return self._bot() | {"can_join_groups": True, "can_read_all_group_messages": False,
                              "supports_inline_queries": False}  # fmt: skip

    def _invite(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not asked.get("chat_id"):
            raise _RefusedError(400, "Bad Request: chat_id is empty")
        link = self._keys.secret(f"invite {self._count()}").hex()[:16]
        result = {
            "invite_link": f"https://t.me/+{link}", "creator": self._bot(),
            "creates_join_request": bool(asked.get("creates_join_request", False)),
            "is_primary": False, "is_revoked": False,
        }  # fmt: skip
        return result | {key: asked[key] for key in ("name", "expire_date", "member_limit") if key in asked}

    def _message(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not asked.get("chat_id"):
            raise _RefusedError(400, "Bad Request: chat_id is empty")
        if not asked.get("text"):
            raise _RefusedError(400, "Bad Request: message text is empty")
        chat = {"id": asked["chat_id"], "type": "private"}
        return {"message_id": self._count(), "from": self._bot(), "chat": chat,
                "date": int(self._clock.now()), "text": asked["text"]}  # fmt: skip

    async def _sent(self, _: web.Request) -> web.Response:
        calls, chats = [], dict[str, dict[str, int]]()
        for row in self._store.rows("SELECT * FROM telegram ORDER BY id"):
            calls.append({
                "at": self._clock.iso(row["at"]), "method": row["method"], "chat_id": row["chat_id"],
                "request": json.loads(row["request"]), "ok": bool(row["ok"]), "response": json.loads(row["response"]),
            })  # fmt: skip
            if row["ok"] and row["chat_id"]:
                counts = chats.setdefault(row["chat_id"], {})
                counts[row["method"]] = counts.get(row["method"], 0) + 1
        return web.json_response({"calls": calls, "chats": chats})
