"""Writes the JSON Schemas that editors check the YAMLs with: `python -m spec.schema`.

Owns the translation from models to queue_configs/schema/*.json. The models are the source; a test
keeps the files current.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spec.adopted import Adopted
from spec.alert import Alert
from spec.channel import Channel
from spec.checks.schema_line import SCHEMA_FOLDER, SCHEMAS
from spec.durations import Duration
from spec.log_metric import LogMetric
from spec.model import BREAKS, FIX, RULE, Model
from spec.route import RouteFile
from spec.secret import Secret
from spec.service import Service
from spec.silences import SilencesFile
from spec.slo import Slo
from spec.stack import StackFile
from spec.task_queue import TaskQueue
from spec.topic import Topic

MODELS: dict[str, type[Model]] = {
    "queue": TaskQueue,
    "topic": Topic,
    "routes": RouteFile,
    "service": Service,
    "secret": Secret,
    "stack": StackFile,
    "alert": Alert,
    "metric": LogMetric,
    "slo": Slo,
    "channel": Channel,
    "adopted": Adopted,
    "silences": SilencesFile,
}

#: Keys that other programs own in a stack's file: those of providers and of Pulumi.
FOREIGN_KEYS = r"^(?!sluice:)[a-zA-Z][a-zA-Z0-9_-]*:"


def schema(noun: str) -> dict[str, Any]:
    """Return the schema of one kind of file."""
    emitted = _clean(MODELS[noun].model_json_schema(by_alias=True, mode="validation"))
    config = emitted.get("$defs", {}).get("StackConfig")
    if config is not None:
        config["additionalProperties"] = False
        config["patternProperties"] = {FOREIGN_KEYS: {}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **emitted}


def text(noun: str) -> str:
    """Return the schema of one kind of file as it stands on disk."""
    return json.dumps(schema(noun), indent=2, ensure_ascii=False) + "\n"


def write(root: Path) -> list[Path]:
    """Write all schemas below a project's root and return their paths."""
    folder = root / SCHEMA_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for noun, file_name in SCHEMAS.items():
        path = folder / file_name
        path.write_text(text(noun), encoding="utf-8")
        paths.append(path)
    return paths


def _clean(node: Any) -> Any:
    """Drop what only errors need, titles that repeat the key, and null and names, which no file writes."""
    if isinstance(node, list):
        return [_clean(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"milliseconds"}:
        return str(Duration(node["milliseconds"]))
    cleaned = {key: _clean(value) for key, value in node.items() if not _is_for_errors(key, value)}
    choices = [choice for choice in cleaned.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del cleaned["anyOf"]
        cleaned = {**choices[0], **cleaned}
    if "patternProperties" in cleaned:
        cleaned.setdefault("additionalProperties", False)
    properties = cleaned.get("properties")
    if isinstance(properties, dict) and "never written in it" in str(properties.get("name", {}).get("description")):
        del properties["name"]
        cleaned["required"] = [key for key in cleaned.get("required", []) if key != "name"]
    return cleaned


def _is_for_errors(key: str, value: Any) -> bool:
    return (key in {BREAKS, FIX, RULE, "title"} and isinstance(value, str)) or (key == "default" and value is None)


if __name__ == "__main__":
    for written in write(Path(__file__).resolve().parent.parent):
        print(written)
