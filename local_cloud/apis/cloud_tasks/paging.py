"""Page tokens: where a list goes on, for which question, and until when."""

import base64
import binascii

import orjson

from local_cloud.errors import invalid

#: A page token is valid for two hours.
TOKEN_SECONDS = 2 * 3600.0


def token(last: str, question: str, now: float) -> str:
    """The token that goes on after `last`."""
    return base64.urlsafe_b64encode(orjson.dumps([last, question, now])).decode()


def after(text: str, question: str, now: float) -> str:
    """What the page goes on after; empty for the first page."""
    if not text:
        return ""
    try:
        last, asked, made = orjson.loads(base64.urlsafe_b64decode(text.encode()))
        fits = asked == question and 0 <= now - float(made) <= TOKEN_SECONDS
    except (binascii.Error, ValueError, TypeError):
        fits, last = False, ""
    if not fits:
        raise invalid("The page token is invalid or has expired: page tokens are valid for 2 hours.")
    return str(last)


def size(asked: int, most: int) -> int:
    """The page's size; 0 means the most."""
    if asked < 0:
        raise invalid("The page size cannot be negative.")
    return min(asked, most) or most
