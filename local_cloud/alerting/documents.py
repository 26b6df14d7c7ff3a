"""The documentation of a policy with its variables filled in.

Source: https://cloud.google.com/monitoring/alerts/doc-variables. A label that a series does not have, or that an
aggregation has taken away, reads null; what is no variable stays as it stands.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_VARIABLE = re.compile(r"\$\{([a-zA-Z_][a-zA-Z0-9_.\-/]*)\}")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What variables speak of."""

    project: str
    policy: str
    policy_name: str
    condition: str
    condition_name: str
    metric: str = ""
    metric_name: str = ""
    resource: str = ""
    user_labels: Mapping[str, str] = field(default_factory=dict)
    metric_labels: Mapping[str, str] = field(default_factory=dict)
    resource_labels: Mapping[str, str] = field(default_factory=dict)
    extracted: Mapping[str, str] = field(default_factory=dict)


def render(text: str, facts: Facts) -> str:
    """The text with values in the place of its variables."""
    plain = {
        "project": facts.project,
        "policy.name": facts.policy,
        "policy.display_name": facts.policy_name,
        "condition.name": facts.condition,
        "condition.display_name": facts.condition_name,
        "metric.type": facts.metric or "null",
        "metric.display_name": facts.metric_name or "null",
        "resource.type": facts.resource or "null",
        "resource.project": facts.resource_labels.get("project_id", facts.project),
    }
    labels = {
        "policy.user_label.": facts.user_labels,
        "metric.label.": facts.metric_labels,
        "resource.label.": facts.resource_labels,
        "log.extracted_label.": facts.extracted,
        "metadata.system_label.": {},
        "metadata.user_label.": {},
    }

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in plain:
            return plain[name]
        for prefix, found in labels.items():
            if name.startswith(prefix) and name != prefix:
                return found.get(name.removeprefix(prefix), "null")
        return match[0]

    return _VARIABLE.sub(value, text)
