"""Opening a token at a door: verified, its payment named in the logs, and its age told; its window is the caller's."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.tokens import Claim, Tokens

C = TypeVar("C", bound=Claim)


def opened(tokens: Tokens[C], token: str, call: Call) -> tuple[C, timedelta]:
    """Return what a token says and how old it is. Raises TokenError."""
    claim = tokens.read(token)
    call.about(claim.unique_id, claim.generation)
    age = claim.age(call.now)
    logs.about(cn_api_id=claim.cn_api_id, token_age=round(age.total_seconds(), 3))
    return claim, age
