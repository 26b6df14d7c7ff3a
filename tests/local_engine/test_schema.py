"""What the engine states of each resource type is what the real provider's schema says.

The schema is a file of the workshop and is not part of the project; where it is missing the test is skipped and says
so. What it leaves out stands beside this file, with where it was taken from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi_gcp as gcp
import pytest

from local_engine.resources import registry
from local_engine.shapes import Input, Shape

SHARED = Path(os.environ.get("SLUICE_SHARED", Path(__file__).parents[3] / "shared"))
#: Types that the schema leaves out: token -> a file with what it would say, and who says so.
BESIDE = {"gcp:storage/bucketObject:BucketObject": "bucket_object.json"}
#: Inputs that SDK and schema do not know by the same name, or that the schema leaves out: descriptions, mostly.
UNLISTED = {"description", "displayName"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    path = SHARED / "gcp_schema.json"
    if not path.exists():
        pytest.skip(f"the provider's schema is not at {path}; set SLUICE_SHARED to compare with it")
    found: dict[str, Any] = json.loads(path.read_text())
    for token, name in BESIDE.items():
        assert token not in found["resources"], f"the schema has it by now: delete what {name} says of its inputs"
        found["resources"][token] = json.loads((Path(__file__).parent / name).read_text())["resource"]
    return found


@pytest.mark.parametrize("token", sorted(name for name, kind in registry().items() if not kind.previewed_only))
def test_inputs_are_the_providers(token: str, schema: dict[str, Any]) -> None:
    resource = schema["resources"][token]
    declared = registry()[token].inputs
    required = set(resource.get("requiredInputs", ()))
    assert list(_differences(declared, resource["inputProperties"], required, schema["types"])) == []


@pytest.mark.parametrize("token", sorted(registry()))
def test_inputs_are_the_sdks(token: str) -> None:
    import pulumi

    _, module, name = token.split(":")
    cls = getattr(getattr(gcp, module.split("/")[0]), name)
    known = pulumi._types.input_type_py_to_pulumi_names(_args_of(cls))
    assert set(registry()[token].inputs) <= set(known.values())


def _args_of(cls: type) -> type:
    import sys

    found: type = getattr(sys.modules[cls.__module__], f"{cls.__name__}Args")
    return found


def _differences(
    declared: Shape, listed: Mapping[str, Any], required: set[str], types: Mapping[str, Any], at: str = ""
) -> Iterator[str]:
    for name, known in declared.items():
        path = f"{at}{name}"
        if name not in listed:
            if name not in UNLISTED:
                yield f"{path}: the provider has no such input"
            continue
        theirs = listed[name]
        if known.required != (name in required):
            yield f"{path}: required is {known.required} here"
        if known.replaces != bool(theirs.get("willReplaceOnChanges")):
            yield f"{path}: replaces is {known.replaces} here"
        if known.secret != bool(theirs.get("secret")):
            yield f"{path}: secret is {known.secret} here"
        yield from _kinds(known, theirs, types, path)
    for name in required - set(declared):
        yield f"{at}{name}: required by the provider and not modelled"


def _kinds(known: Input, theirs: Mapping[str, Any], types: Mapping[str, Any], path: str) -> Iterator[str]:
    reference = theirs.get("$ref") or theirs.get("items", {}).get("$ref")
    kind = theirs.get("type", "object")
    if known.kind != kind:
        yield f"{path}: is a {kind}, here a {known.kind}"
    if reference:
        inner = types[reference.removeprefix("#/types/")]
        required = set(inner.get("required", ()))
        yield from _differences(known.fields, inner.get("properties", {}), required, types, f"{path}.")
