"""Editors know what the models know: the schemas are current, named by every file, and judge alike."""

from __future__ import annotations

import json

import pytest
import yaml
from jsonschema import Draft202012Validator

from spec import files
from spec.checks.schema_line import SCHEMA_FOLDER, SCHEMAS, expected_line
from spec.schema import schema, text
from tests.spec.conftest import HOSTPAY_QUEUE, ROOT


@pytest.mark.parametrize("noun", SCHEMAS)
def test_the_schema_on_disk_is_the_models_own(noun: str) -> None:
    on_disk = (ROOT / SCHEMA_FOLDER / SCHEMAS[noun]).read_text()

    assert on_disk == text(noun), "regenerate with: python -m spec.schema"


def every_file() -> list[tuple[str, files.SpecFile]]:
    return [
        *(("queue", file) for file in files.task_queues(ROOT, []).values()),
        *(("topic", file) for file in files.topics(ROOT, []).values()),
        *(("service", file) for file in files.services(ROOT, []).values()),
        *(("secret", file) for file in files.secrets(ROOT, []).values()),
        ("routes", files.SpecFile("routes", ROOT / files.ROUTES, files.ROUTES)),
        *(("stack", file) for file in files.stacks(ROOT).values()),
    ]


@pytest.mark.parametrize(("noun", "file"), every_file(), ids=lambda value: getattr(value, "name", None))
def test_every_file_names_its_schema_on_its_first_line(noun: str, file: files.SpecFile) -> None:
    first_line = file.path.read_text().split("\n")[0]

    assert first_line == expected_line(noun, file.shown_as)
    assert (file.path.parent / first_line.partition("$schema=")[2]).resolve().is_file()


@pytest.mark.parametrize("noun", SCHEMAS)
def test_no_schema_lets_unknown_keys_through_or_asks_for_a_name(noun: str) -> None:
    emitted = schema(noun)

    assert emitted["additionalProperties"] is False
    assert "name" not in emitted["properties"]
    assert "name" not in emitted.get("required", [])
    assert all("description" in field for field in emitted["properties"].values())


def test_sentences_for_errors_stay_out_of_the_schemas() -> None:
    for noun in SCHEMAS:
        assert '"breaks"' not in json.dumps(schema(noun))


@pytest.mark.parametrize(("noun", "file"), every_file(), ids=lambda value: getattr(value, "name", None))
def test_every_file_is_valid_for_editors(noun: str, file: files.SpecFile) -> None:
    Draft202012Validator(schema(noun)).validate(yaml.safe_load(file.path.read_text()))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rate:", "rates:"),
        ("dispatches_per_second: 50", "dispatches_per_second: 501"),
        ("concurrent: 20", 'concurrent: "20"'),
        ("min_backoff: 5s", "min_backoff: 5"),
        ("min_backoff: 5s", "min_backoff: five"),
        ("from: [gcsplit]", "from: []"),
        ("message: HostPayOrder", "message:"),
        ("message: HostPayOrder\n", ""),
    ],
)
def test_editors_refuse_what_the_models_refuse(old: str, new: str) -> None:
    file = (ROOT / HOSTPAY_QUEUE).read_text()
    assert old in file

    assert not Draft202012Validator(schema("queue")).is_valid(yaml.safe_load(file.replace(old, new, 1)))


def test_editors_know_foreign_keys_of_a_stack_and_refuse_unknown_own_ones() -> None:
    validator = Draft202012Validator(schema("stack"))
    config = {"gcp:project": "sluice-prod", "gcp:region": "us-central1", "sluice:projectNumber": "123456789012"}

    assert validator.is_valid({"config": {**config, "gcp:zone": "a", "pulumi:tags": {}}, "encryptionsalt": "v1:x"})
    assert not validator.is_valid({"config": {**config, "sluice:imageDigst": "x"}})
