"""The base of all spec models, and how a field says what it is for.

Owns the settings that every model shares: unknown keys are refused, values are frozen, infinities and NaN are no
numbers. A field carries three sentences: what it is (for editors), what a wrong value would break and how to fix it;
and, where it has one of its own, the number of the rule that a wrong value breaks (docs/lint/).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict
from pydantic.fields import FieldInfo

from spec.errors import Refused

#: Keys under which a field keeps what errors need; the schema emitter leaves them out.
BREAKS, FIX, RULE = "breaks", "fix", "rule"


#: A number in quotes is text and `yes` is no truth: what a file says has to be of the kind that the schema says.
Whole = Annotated[int, Strict()]
Quantity = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]


#: Fewest words of a reason: a word such as "wontfix" gives none.
FEWEST_WORDS = 3


def _reason(text: str) -> str:
    if len(text.split()) < FEWEST_WORDS:
        raise Refused(
            f"{text!r} is no reason",
            breaks="nobody could judge later whether it still holds",
            fix="say in a few words why the rule may be broken here",
            rule="SL134",
        )
    return text


#: Numbers of rules that a file breaks on purpose, each with the reason.
Silences = dict[Annotated[str, Field(pattern=r"^SL\d+$")], Annotated[str, AfterValidator(_reason)]]
SILENCES = "Rules that this file breaks on purpose (docs/lint/), each with the reason."


class Model(BaseModel):
    """A frozen piece of a spec in which only the declared keys exist."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,
        validate_default=False,
        hide_input_in_errors=True,
    )


class Spec(Model):
    """A whole file, which may say what it breaks on purpose."""

    lint: Silences = Field({}, description=SILENCES)


class Named(Spec):
    """A spec that is a file of its own: the file's stem is its name, so the file does not repeat it."""

    name: str = Field(description="The stem of the file, never written in it.")


def field(default: Any, doc: str, *, breaks: str = "", fix: str = "", rule: str = "", **more: Any) -> Any:
    """Declare a field with its sentences; `...` as default makes it required."""
    return Field(default, description=doc, json_schema_extra={BREAKS: breaks, FIX: fix, RULE: rule}, **more)


def sentences(info: FieldInfo | None) -> tuple[str, str]:
    """Return what a wrong value of this field would break, and how to fix it, as far as the field says so."""
    extra = info.json_schema_extra if info is not None else None
    if not isinstance(extra, dict):
        return "", ""
    return str(extra.get(BREAKS, "")), str(extra.get(FIX, ""))


def rule_of(info: FieldInfo | None) -> str:
    """Return the number of the rule that a wrong value of this field breaks, if it has one of its own."""
    extra = info.json_schema_extra if info is not None else None
    return str(extra.get(RULE, "")) if isinstance(extra, dict) else ""
