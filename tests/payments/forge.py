"""Forged tokens, notices and calls: what a stranger, a broken producer or an insider might send.

Written from the layouts that the documents give, with the stack's real keys where a test plays an insider. Imports
nothing of the services.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import signal
import struct
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psutil

import spec
from tests.payments.stack import ROOT, Stack, http

SYSTEM = spec.load(ROOT, "local")

SIGNATURE = "x-nowpayments-sig"
_ORDER = struct.Struct(">B16sqqQH32s")
_ORDER_FIELDS = ("version", "unique_id", "user_id", "channel_id", "issued_at", "subscription_days", "amount")


@dataclass(frozen=True)
class Answer:
    """What a door said, and the trace by which the logs tell of it."""

    status: int
    body: Any
    trace: str

    @property
    def text(self) -> str:
        return self.body if isinstance(self.body, str) else json.dumps(self.body)


def call(
    method: str, url: str, body: bytes | None = None, *, headers: dict[str, str] | None = None, token: str = ""
) -> Answer:
    """Call a door under a trace of its own."""
    trace = secrets.token_hex(16)
    sent = {"traceparent": f"00-{trace}-{trace[:16]}-01", **(headers or {})}
    if token:
        sent["Authorization"] = f"Bearer {token}"
    status, answer = http(method, url, body, headers=sent)
    return Answer(status, answer, trace)


def armour(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unarmour(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def flip(token: str, byte: int = -1) -> str:
    """The token with one bit of one byte changed."""
    raw = bytearray(unarmour(token))
    raw[byte] ^= 1
    return armour(bytes(raw))


def short(text: str) -> bytes:
    raw = text.encode()
    return bytes([len(raw)]) + raw


def read_order(token: str) -> dict[str, Any]:
    """The fields of an order token, layout 1."""
    raw = unarmour(token)
    fields: dict[str, Any] = dict(zip(_ORDER_FIELDS, _ORDER.unpack_from(raw), strict=True))
    at = _ORDER.size
    for name in ("currency", "client_wallet", "payout_currency", "payout_network"):
        fields[name] = raw[at + 1 : at + 1 + raw[at]].decode()
        at += 1 + raw[at]
    return fields


def order_token(fields: dict[str, Any], key: str) -> str:
    body = _ORDER.pack(*(fields[name] for name in _ORDER_FIELDS))
    for name in ("currency", "client_wallet", "payout_currency", "payout_network"):
        body += short(fields[name])
    return armour(body + hmac.digest(key.encode(), body, "sha256")[:16])


def host_token(key: str, *, issued_at: float, purpose: int = 1, version: int = 2, **changes: Any) -> str:
    """A host payment's token, signed with any key, for a payment that nobody knows."""
    fields: dict[str, Any] = {
        "unique_id": "RUBBISH000000001", "generation": 1, "cn_api_id": "nobody", "currency": "eth", "network": "eth",
        "units": 10**15, "payin_address": "0x" + "00" * 19 + "01",
    } | changes  # fmt: skip
    raw = key.encode()
    body = b"".join((
        bytes([version, purpose]),
        hashlib.sha256(b"TPS_HOSTPAY key id\0" + raw).digest()[:4],
        fields["unique_id"].encode().ljust(16, b"\0"),
        struct.pack(">H", fields["generation"]),
        short(fields["cn_api_id"]), short(fields["currency"]), short(fields["network"]),
        fields["units"].to_bytes(32, "big"),
        short(fields["payin_address"]),
        struct.pack(">Q", int(issued_at * 1000)),
    ))  # fmt: skip
    return armour(body + hmac.digest(raw, body, "sha256"))


#: Openings up to which a body is read as JSON here.
DEEPEST = 500


def signed(body: bytes, key: str) -> str:
    """The processor's signature over a notice, canonical where the body is JSON.

    Libraries raise the interpreter's recursion limit, and a body of brackets alone would then end this process.
    """
    try:
        if body.count(b"[") + body.count(b"{") > DEEPEST:
            raise RecursionError
        text = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        text = body
    return hmac.new(key.encode(), text, hashlib.sha512).hexdigest()


class Insider:
    """Somebody with the project owner's rights: reads keys, mints tokens, finds instances."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        status = stack.admin("GET", "status")
        self.project: str = status["project"]
        #: What tokens are made out to, and where the services are called from within: most are closed to the Internet.
        self.urls: dict[str, str] = stack.status()["services"]
        outside, inside = str(stack.ports["rest"]), str(stack.ports["service_rest"])
        self.doors = {name: url.replace(f":{outside}/", f":{inside}/") for name, url in self.urls.items()}
        self._tokens: dict[tuple[str, str], str] = {}
        self._awake: set[int] = set()
        self._over = threading.Event()
        threading.Thread(target=self._keep_awake, daemon=True).start()

    def close(self) -> None:
        """Leave the instances to the cloud again."""
        self._over.set()

    def _keep_awake(self) -> None:
        """Whoever goes round the cloud's door finds an instance without CPU: it has no request that the cloud knows."""
        while not self._over.wait(0.02):
            for pid in list(self._awake):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def key(self, secret: str) -> str:
        url = f"{self.stack.rest}/v1/projects/{self.project}/secrets/{secret}/versions/1:access"
        status, answer = http("GET", url)
        assert status == 200, answer
        return base64.b64decode(answer["payload"]["data"]).decode()

    def token(self, account: str, service: str) -> str:
        """An OIDC token of an account for a service, good for an hour."""
        if (account, service) not in self._tokens:
            self._tokens[account, service] = self.mint(account, self.urls[service])
        return self._tokens[account, service]

    def mint(self, account: str, audience: str) -> str:
        email = f"{account}@{self.project}.iam.gserviceaccount.com"
        url = f"{self.stack.rest}/v1/projects/-/serviceAccounts/{email}:generateIdToken"
        status, answer = http("POST", url, {"audience": audience, "includeEmail": True})
        assert status == 200, answer
        return str(answer["token"])

    def instance(self, service: str) -> str:
        """The address of a running instance itself, behind the cloud's door."""
        caller = next(one for callers in SYSTEM.callers(service).values() for one in callers)
        headers = {"Authorization": f"Bearer {self.token(caller.account_id, service)}"}
        http("GET", self.doors[service] + "/health", headers=headers)  # there is one after this
        (pid, *_) = [pid for pid in self.stack.instances(service) if pid]
        self._awake.add(pid)
        listening = [one for one in psutil.Process(pid).net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        return f"http://127.0.0.1:{listening[0].laddr.port}"

    def operator(self, service: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token('sluice-operator', service)}"}

    def payment(self) -> Notice:
        """A payment that the processor has made and not told anybody of."""
        (made,) = self.stack.send(amount="0.01", count=1, notify=False)
        token = urlsplit(made["success_url"]).query.removeprefix("token=")
        return Notice(json.loads(made["body"]), token, made["unique_id"])


@dataclass(frozen=True)
class Notice:
    """A notice as the processor would send it."""

    fields: dict[str, Any]
    token: str
    unique_id: str

    def body(self, **changes: Any) -> bytes:
        """The notice with fields changed; None takes one away."""
        fields = {name: value for name, value in (self.fields | changes).items() if value is not None}
        return json.dumps(fields, ensure_ascii=False).encode()
