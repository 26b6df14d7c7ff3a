"""The filter language: what fits and what is refused, and for any expression the same answer as its own tree gives."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.errors import ApiError
from local_cloud.pubsub.filters import MAX_BYTES, compiled
from tests.fidelity import pins

MESSAGE = {"name": "com", "iana.org/language_tag": "en", "lang-code": "us-1", "みんな": "y"}


@pins(
    "pubsub",
    "Topics and subscriptions",
    "Filters: attributes:key, = and != with a string literal, hasPrefix, NOT or -, AND and OR; != is NOT =, so it fits "
    "a message without the attribute; keys of other characters than letters, digits, - and _ stand in quotes",
    documented="Filter messages from a subscription",
)
@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("  ", True),
        ("attributes:name", True),
        ("attributes:other", False),
        ("NOT attributes:name", False),
        ("-attributes:other", True),
        ('attributes.name = "com"', True),
        ('attributes.name="org"', False),
        ('attributes.name != "com"', False),
        ('attributes.other != "com"', True),
        ('-attributes.name = "com"', False),
        ('hasPrefix(attributes.name, "co")', True),
        ('hasPrefix(attributes.other, "")', False),
        ('attributes:"iana.org/language_tag"', True),
        ('attributes."iana.org/language_tag" = "en"', True),
        ('attributes.lang-code = "us-1"', True),
        (r'attributes:"\u307F\u3093\u306A"', True),
        (r'attributes.name = "\x63\157m"', True),
        ("attributes:name AND attributes:lang-code AND attributes:other", False),
        ("attributes:other OR attributes:lang-code", True),
        ('attributes:other OR (attributes:name AND hasPrefix(attributes.name, "c"))', True),
        ('attributes:name\nAND\n  NOT attributes.name = "org"', True),
    ],
)
def test_filter_fits_messages_by_their_attributes(text: str, fits: bool) -> None:
    assert compiled(text)(MESSAGE) is fits


@pins(
    "pubsub",
    "Topics and subscriptions",
    "A filter that mixes AND and OR without parentheses, has no string literal to compare with, or is longer than 256 "
    "bytes is refused",
    documented="Filter messages from a subscription",
)
@pytest.mark.parametrize(
    "text",
    [
        "attributes",
        "attributes.name",
        "attributes.name =",
        "attributes.name = com",
        "attributes.name == 'com'",
        'attributes.name = "com',
        r'attributes.name = "\q"',
        "attributes:iana.org",
        "name:x",
        "(attributes:name",
        "attributes:name)",
        "attributes:name AND",
        "attributes:name and attributes:other",
        "attributes:name attributes:other",
        "attributes:a AND attributes:b OR attributes:c",
        "hasPrefix(attributes.name)",
        'hasPrefix("x", "y")',
        'hassuffix(attributes.name, "y")',
        "NOT",
        "@",
        f'attributes.name = "{"x" * MAX_BYTES}"',
        "(" * 255,
        "-" * 255,
    ],
)
def test_malformed_filters_are_refused_with_the_place(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        compiled(text)
    assert refused.value.code == "INVALID_ARGUMENT"
    assert "position" in refused.value.text or "256 bytes" in refused.value.text


KEYS = st.text(min_size=1, max_size=4)
VALUES = st.text(max_size=4)
TREES: st.SearchStrategy[tuple[Any, ...]] = st.recursive(
    st.one_of(
        st.tuples(st.just("has"), KEYS),
        st.tuples(st.sampled_from(["=", "!=", "prefix"]), KEYS, VALUES),
    ),
    lambda inner: st.one_of(st.tuples(st.just("not"), inner), st.tuples(st.sampled_from(["AND", "OR"]), inner, inner)),
    max_leaves=4,
)


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(char):08x}" if char in '"\\' or ord(char) < 32 else char for char in text) + '"'


def written(tree: tuple[Any, ...]) -> str:
    kind, *parts = tree
    if kind == "has":
        return f"attributes:{quoted(parts[0])}"
    if kind == "prefix":
        return f"hasPrefix(attributes.{quoted(parts[0])}, {quoted(parts[1])})"
    if kind == "not":
        return f"NOT ({written(parts[0])})"
    if kind in ("AND", "OR"):
        return f"({written(parts[0])}) {kind} ({written(parts[1])})"
    return f"attributes.{quoted(parts[0])} {kind} {quoted(parts[1])}"


def holds(tree: tuple[Any, ...], message: Mapping[str, str]) -> bool:
    kind, *parts = tree
    if kind == "not":
        return not holds(parts[0], message)
    if kind in ("AND", "OR"):
        both = [holds(part, message) for part in parts]
        return all(both) if kind == "AND" else any(both)
    value = message.get(parts[0])
    if kind == "prefix":
        return value is not None and value.startswith(parts[1])
    return bool({"has": value is not None, "=": value == parts[-1], "!=": value != parts[-1]}[kind])


@given(tree=TREES, others=st.dictionaries(KEYS, VALUES, max_size=3), data=st.data())
def test_any_expression_means_what_its_parts_mean(
    tree: tuple[Any, ...], others: dict[str, str], data: st.DataObject
) -> None:
    text = written(tree)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return
    chosen = data.draw(st.dictionaries(st.sampled_from(sorted(leaves(tree))), VALUES))
    message = {**others, **chosen}
    assert compiled(text)(message) is holds(tree, message)


def leaves(tree: tuple[Any, ...]) -> set[str]:
    kind, *parts = tree
    if kind in ("not", "AND", "OR"):
        return set().union(*(leaves(part) for part in parts))
    return {parts[0]}


def ending(text: str) -> str:
    try:
        compiled(text)({"a": "b"})
    except ApiError as error:
        return error.code
    return "OK"


@given(text=st.text(max_size=60))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    assert ending(text) in ("OK", "INVALID_ARGUMENT")
