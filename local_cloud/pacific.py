"""Times as Google writes them into messages: in the zone of its home."""

from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def _zone() -> tzinfo:
    """The zone; without zone files its winter time."""
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:
        return timezone(timedelta(hours=-8))


_PACIFIC = _zone()


def pacific(seconds: float) -> str:
    """A time since the epoch, such as 2019-08-22T01:28:55-07:00; fractions of a second as far as there are any."""
    return datetime.fromtimestamp(seconds, _PACIFIC).isoformat()
