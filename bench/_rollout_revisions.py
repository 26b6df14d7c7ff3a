"""Revisions with a fault, as images of a stack: the code that the stack runs, spoilt at one door of one service.

What is deployed is real: a copy of the image's folder with one file more, named by the hash of what is in it as every
local image (ops/stack/image.py), registered in the local cloud and run by it. Nothing else differs from the revision
beside it, so that whatever differs in its metrics comes from the fault.
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.stack import image
from tests.payments.stack import Stack

#: The door of each service through which a payment comes, and the purpose of the token that arrives at it.
DOORS = {
    "gchostpay": ("/hostpay_webhook", "HOSTPAY_EXECUTION"),
    "gcsplit": ("/process_split", ""),
    "gchostpay3": ("/", "PAYMENT_EXECUTE"),
}
#: Seconds by which a slow revision is late: more than a payment may take at a gate, less than a request's timeout.
LATE = 12.0

#: What each kind of fault does before a handler, or instead of it.
KINDS = {
    "raises": "    if random.random() < SHARE:\n        raise RuntimeError('this revision is broken')",
    "slow": "    await asyncio.sleep(LATE)",
    "leaks_tokens": "",
    "takes_expired": "",
    "no_effect": "    return Done()",
    "good": "",
}
#: What each does to the time that a token lives: read in a wrong unit it is over at once, or never.
WINDOWS = {"leaks_tokens": "timedelta(0)", "takes_expired": "timedelta(days=3650)"}

#: Where the fault stands in the copy, and what it says.
FAULTY = "service_code/kit/fault.py"
FAULT = '''"""What is wrong with this revision: {kind} at {door} of {service}."""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta

from service_code.kit import tokens
from service_code.kit.outcomes import Done

SHARE, LATE, PURPOSE, WINDOW = {share}, {late}, {purpose!r}, {window}
if WINDOW is not None:
    tokens.WINDOWS[tokens.Purpose[PURPOSE]] = WINDOW


async def harm():
{harm}


def spoil(service):
    def spoilt(kit):
        sound = service(kit)
        return replace(sound, handlers=[spoilt_at(one) if one.path == {door!r} else one for one in sound.handlers])

    return spoilt


def spoilt_at(handler):
    async def run(message, call):
        said = await harm()
        return await handler.run(message, call) if said is None else said

    return replace(handler, run=run)
'''
USE = "\nfrom service_code.kit.fault import spoil  # noqa: E402\n\nservice = spoil(service)\n"


@dataclass(frozen=True, kw_only=True)
class Bad:
    """One fault of one service; `share` is how many of its requests a revision that raises refuses."""

    kind: str
    service: str = "gchostpay"
    share: float = 1.0
    late: float = LATE

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.service not in DOORS:
            raise ValueError(f"no fault {self.kind} at {self.service}: {', '.join(KINDS)} at {', '.join(DOORS)}")
        if self.kind in WINDOWS and not DOORS[self.service][1]:
            raise ValueError(f"{self.service} takes no token")

    @property
    def name(self) -> str:
        """Service and fault."""
        return f"{self.service}-{self.kind}"

    def text(self) -> str:
        """The file that spoils the service."""
        door, purpose = DOORS[self.service]
        harm = KINDS[self.kind] or "    return None"
        window = WINDOWS.get(self.kind, "None")
        return FAULT.format(
            kind=self.kind, door=door, service=self.service, share=self.share, late=self.late, purpose=purpose,
            window=window, harm=harm,
        )  # fmt: skip


def register(stack: Stack, bad: Bad) -> str:
    """Make the spoilt image of a running stack known to its cloud; its digest."""
    running = sound(stack)
    draft = stack.home / "images" / f"{bad.name}.new"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(running["root"], draft, ignore=shutil.ignore_patterns("__pycache__"))
    # An image that was rolled back is refused: each is another one.
    (draft / FAULTY).write_text(f"{bad.text()}\n\nNUMBER = {secrets.token_hex(8)!r}\n")
    app = draft / "service_code" / bad.service / "app.py"
    app.write_text(app.read_text() + USE)
    name = image.digest(draft)
    folder = draft.with_name(name.removeprefix("sha256:"))
    draft.rename(folder)
    manifest = {"digest": name, "root": str(folder), "entry": running["entry"], "preload": running["preload"]}
    stack.admin("POST", "images", manifest)
    return name


def sound(stack: Stack) -> dict[str, Any]:
    """The image that has no fault; the newest, where there are several."""
    images: list[dict[str, Any]] = stack.admin("GET", "images")["images"]
    return next(one for one in reversed(images) if not (Path(one["root"]) / FAULTY).exists())
