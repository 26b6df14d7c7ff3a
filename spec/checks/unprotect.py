"""The explicit word for a loss: it names a thing of this layer, and it does not outlive what it was given for."""

from __future__ import annotations

from collections.abc import Iterator

from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Severity, nearest
from spec.stack import FOUNDATION_PREFIX, StackConfig
from spec.unprotect import GUARDED, KEY, Guarded, parts, word


@rule("SL920")
def words_stand_in_their_layer(draft: Draft) -> Iterator[Finding]:
    """A word is read by the layer in which the thing stands."""
    for stack, index, text, kind, _ in _words(draft):
        if kind.foundation is not stack.is_foundation:
            layer = f"{FOUNDATION_PREFIX if kind.foundation else ''}{stack.env}"
            yield draft.error(
                "stack",
                stack.name,
                *("config", KEY, index),
                what=f"{text} does not stand in {stack.name}",
                breaks="nothing would be unprotected",
                fix=f"move the word to stacks/Pulumi.{layer}.yaml",
            )


@rule("SL921", Severity.WARNING)
def words_are_needed(draft: Draft) -> Iterator[Finding]:
    """A word is for something that is there and guarded; where nothing is left of it, it should go too."""
    for stack, index, text, kind, name in _words(draft):
        if kind.foundation is not stack.is_foundation:
            continue
        place = ("config", KEY, index)
        if not stack.protect:
            yield draft.warning(
                "stack",
                stack.name,
                *place,
                what=f"{text} is not guarded here: sluice:protect is false",
                breaks="it reads as if the rest of the stack were guarded",
                fix="delete the word",
            )
        elif kind.noun and not draft.is_declared(kind.noun, name):
            near = nearest(name, draft.declared[kind.noun])
            meant = f"; if it is a slip: did you mean {word(parts(text)[0], near)}?" if near else ""
            yield draft.warning(
                "stack",
                stack.name,
                *place,
                what=f"there is no {kind.noun} {name!r} (any more)",
                breaks=f"a {kind.noun} of that name that comes later would be unprotected from its first day",
                fix=f"delete the word once an apply has taken the {kind.noun} away{meant}",
            )


def _words(draft: Draft) -> Iterator[tuple[StackConfig, int, str, Guarded, str]]:
    for stack in draft.stacks.values():
        for index, text in enumerate(stack.unprotect):
            kind, name = parts(text)
            yield stack, index, text, GUARDED[kind], name


RULES: tuple[Rule, ...] = (words_stand_in_their_layer, words_are_needed)
