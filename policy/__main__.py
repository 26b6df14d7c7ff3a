"""The policy pack: every rule of lint that a plan can break, as a policy of Pulumi's.

Owns the translation alone; what is judged is `spec.plan`. Errors of lint are mandatory, warnings advisory: a plan that
opens a public door says so, and one that writes a secret down is stopped.
Source: https://www.pulumi.com/docs/iac/crossguard/.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # the Pulumi CLI runs this folder, the rooms stand beside it
    sys.path.insert(0, str(ROOT))

from spec import Law, Severity, laws  # noqa: E402
from spec.plan import RULES, judge  # noqa: E402

#: The rule that takes exceptions, and how its config says them: by account, the roles that it has on the whole project.
WIDE = "SL301"
EXCEPTIONS = PolicyConfigSchema(
    properties={
        "exceptions": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
            "default": {},
        }
    }
)


def policy(law: Law) -> ResourceValidationPolicy:
    """One rule as a policy."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        exceptions = args.get_config().get("exceptions", {}) if law.number == WIDE else {}
        for broken in judge(args.resource_type, args.props, exceptions):
            if broken.rule == law.number:
                report(f"{broken.what} [{law.number}; {law.page}]")

    level = EnforcementLevel.MANDATORY if law.severity is Severity.ERROR else EnforcementLevel.ADVISORY
    return ResourceValidationPolicy(
        name=law.number.lower(),
        description=law.title,
        enforcement_level=level,
        validate=validate,
        config_schema=EXCEPTIONS if law.number == WIDE else None,
    )


PolicyPack(name="sluice", policies=[policy(laws()[number]) for number in RULES])
