"""The Pulumi program: load the specs for this stack, declare what they say, export what others need."""

import gc
import sys
from pathlib import Path

import pulumi

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # the Pulumi CLI runs this folder, the rooms stand beside it
    sys.path.insert(0, str(ROOT))

from components import system  # noqa: E402
from spec import StackConfig, load  # noqa: E402


def config() -> dict[str, str]:
    """This stack's config, as far as the specs have keys for it."""
    keys = [field.alias for field in StackConfig.model_fields.values() if field.alias]
    found = {key: pulumi.Config(key.split(":")[0]).get(key.split(":")[1]) for key in keys}
    return {key: value for key, value in found.items() if value is not None}


# Whatever registers lives to the end of the run: the collector would go through all of it again and again.
gc.disable()
for name, value in system.build(load(ROOT, pulumi.get_stack(), config())).items():
    pulumi.export(name, value)
