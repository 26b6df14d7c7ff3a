"""The codec of messages: frozen, keyword-only, versioned JSON objects that carry all the next station needs.

On the wire a message is one JSON object with its name (`message`) and `version` beside its fields. A release reads the
messages of the one before it through `upgrade`; an unknown version or field is refused, never guessed at. A message of
a newer version is a NewerError: it waits for a release that reads it, as after a rollback, whatever its fields are. So
whoever adds a field raises VERSION.
Source: DESIGN sections 3 and 7. Which messages exist is `orders`' business.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, ValidationError

from service_code.kit import strict_json
from service_code.kit.money import Amount, MoneyError

#: Versions that releases will ever reach: a number above is no version.
NEWEST_VERSION = 1_000
#: What no message needs and what would be a way to make us work: nesting is flat, so a body is small.
LONGEST_BODY = 100_000


class UnreadableError(ValueError):
    """The body is not a message that this station handles."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class NewerError(RuntimeError):
    """The message was written by a newer release than this one."""


def _read_amount(value: Any) -> Amount:
    if isinstance(value, Amount):
        return value
    if not isinstance(value, dict) or set(value) != {"currency", "units"}:
        raise ValueError("an amount is {currency, units}")
    currency, units = value["currency"], value["units"]
    if not isinstance(currency, str) or not isinstance(units, str) or not units.isascii() or not units.isdigit():
        raise ValueError("an amount is a currency and its base units as digits")
    if len(units) > 78:
        raise ValueError("an amount has at most 78 digits")
    try:
        return Amount(currency=currency, units=int(units))
    except MoneyError as error:
        raise ValueError(str(error)) from error


#: An amount inside a message: base units travel as digits, since JSON readers turn large numbers into doubles.
AmountField = Annotated[
    Amount,
    PlainValidator(_read_amount),
    PlainSerializer(lambda amount: {"currency": amount.currency, "units": str(amount.units)}),
]


class Message(BaseModel):
    """Base of all messages. A subclass states its `VERSION` and how the previous version becomes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    VERSION: ClassVar[int] = 1

    @classmethod
    def upgrade(cls, version: int, fields: dict[str, Any]) -> dict[str, Any]:
        """Turn the fields of an older version into those of this one; refuse a version that is not known."""
        raise UnreadableError(
            "UNKNOWN_VERSION", f"{cls.__name__} version {version} with {len(fields)} fields is unknown"
        )

    def wire(self) -> dict[str, Any]:
        """Return the JSON object that travels."""
        return {"message": type(self).__name__, "version": self.VERSION, **self.model_dump(mode="json")}

    def encode(self) -> bytes:
        """Return the body of a task."""
        return json.dumps(self.wire(), separators=(",", ":")).encode()

    @classmethod
    def read(cls, value: Any) -> Self:
        """Read a JSON object as this message, whatever known version it has."""
        if not isinstance(value, dict):
            raise UnreadableError("NOT_A_MESSAGE", "the body is not a JSON object")
        fields = dict(value)
        name = fields.pop("message", cls.__name__)
        if name != cls.__name__:
            raise UnreadableError("WRONG_MESSAGE", f"this door takes {cls.__name__}")
        version = fields.pop("version", 0)
        if type(version) is not int:
            raise UnreadableError("UNKNOWN_VERSION", "the version is not a whole number")
        if cls.VERSION < version <= NEWEST_VERSION:
            raise NewerError(f"{cls.__name__} version {version} is of a newer release, this one reads {cls.VERSION}")
        if version != cls.VERSION:
            fields = cls.upgrade(version, fields)
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or cls.__name__
            raise UnreadableError("BAD_FIELD", f"{where}: {first['msg']}") from error

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the body of a task as this message."""
        return cls.read(parse_json(body))


def parse_json(body: bytes) -> Any:
    """Parse JSON, refusing what is not, with the reason but without its text."""
    if len(body) > LONGEST_BODY:
        raise UnreadableError("TOO_LONG", f"the body has {len(body)} bytes, a message has at most {LONGEST_BODY}")
    try:
        return strict_json.loads(body)
    except ValueError as error:
        raise UnreadableError("NOT_JSON", "the body is not JSON") from error
