"""At least one of every resource type that the stacks may declare, with rich inputs; `changed` changes a field of each.

A module a field: what runs, what carries messages, what watches, what stands around. The tests run it by the local
engine and by Pulumi's own.
"""

import sys
from pathlib import Path

import pulumi

sys.path.insert(0, str(Path(__file__).parent))

from parts import around, messages, runs, watches  # type: ignore[import-not-found]

changed = pulumi.Config("everything").get_bool("changed") or False
people = around.people(changed)
around.network(changed)
around.keys(changed, people)
around.governance(changed, people)
topic = messages.messages(changed, people)
runs.runs(changed, people)
watches.watches(changed, topic)
pulumi.export("account", people.email)
