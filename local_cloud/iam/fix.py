"""The smallest binding that would let a refused call through: role, resource, member, and the gcloud command.

Smallest means: the nearest resource that takes a policy, and of the roles that hold the permission the one that
holds the fewest, the project's own before Google's. Where two roles give the same on that resource, it is the one that
Google's own documents name. An object takes no policy: its bucket's binding has a condition on its name, which Google
takes on buckets with uniform access. Source: https://cloud.google.com/storage/docs/access-control/iam#conditions.
"""

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_cloud.registry import Principal

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

#: Resources that take a policy: pattern of the name, and the gcloud command that binds on it.
COMMANDS = (
    ("projects/{p}/locations/{l}/queues/{x}", "gcloud tasks queues add-iam-policy-binding {x} --location={l}"),
    ("projects/{p}/locations/{l}/services/{x}", "gcloud run services add-iam-policy-binding {x} --region={l}"),
    ("projects/{p}/locations/{l}/jobs/{x}", "gcloud run jobs add-iam-policy-binding {x} --region={l}"),
    (
        "projects/{p}/locations/{l}/repositories/{x}",
        "gcloud artifacts repositories add-iam-policy-binding {x} --location={l}",
    ),
    ("projects/{p}/secrets/{x}", "gcloud secrets add-iam-policy-binding {x}"),
    ("projects/{p}/serviceAccounts/{x}", "gcloud iam service-accounts add-iam-policy-binding {x}"),
    ("projects/{p}/topics/{x}", "gcloud pubsub topics add-iam-policy-binding {x}"),
    ("projects/{p}/subscriptions/{x}", "gcloud pubsub subscriptions add-iam-policy-binding {x}"),
    ("projects/{p}/buckets/{x}", "gcloud storage buckets add-iam-policy-binding gs://{x}"),
    ("projects/{p}", "gcloud projects add-iam-policy-binding {p}"),
)

#: On a service roles/run.invoker gives no more than roles/run.servicesInvoker: jobs.run means nothing there. Nor does
#: roles/storage.objectViewer give more on one object: what it may list are buckets.
NAMED_BY_GOOGLE = {
    "roles/run.servicesInvoker": "roles/run.invoker",
    "roles/storage.legacyObjectReader": "roles/storage.objectViewer",
}


@dataclass(frozen=True, slots=True)
class Fix:
    """One binding."""

    role: str
    resource: str
    member: str
    command: str
    #: The expression under which it is enough; "" for none.
    condition: str = ""

    @property
    def sentence(self) -> str:
        """For the end of an error message."""
        binding = f"{self.role} for {self.member} on {self.resource}"
        binding += f", under the condition {self.condition}" if self.condition else ""
        return f"The smallest binding that would allow it: {binding} ({self.command})."

    def as_dict(self) -> dict[str, str]:
        """For error details and logs."""
        said = {
            "fix_role": self.role,
            "fix_resource": self.resource,
            "fix_member": self.member,
            "fix_command": self.command,
        }
        return said | ({"fix_condition": self.condition} if self.condition else {})


def smallest_fix(cloud: "Cloud", principal: Principal, permission: str, resource: str) -> Fix | None:
    """None where no known role holds the permission."""
    from local_cloud.iam.engine import lineage

    roles = cloud.iam.roles.granting(permission)
    member = principal.member or "allUsers"
    for name in lineage(resource):
        for pattern, command in COMMANDS:
            found = re.fullmatch(re.sub(r"\{(\w)\}", r"(?P<\1>[^/]+)", pattern), name)
            if found is None or not roles:
                continue
            flags = "" if "projects add-" in command else f" --project={found['p']}"
            role = NAMED_BY_GOOGLE.get(roles[0][0], roles[0][0])
            line = f"{command.format(**found.groupdict())}{flags} --member={member} --role={role}"
            condition = _object_alone(resource, name)
            if condition:
                line += f" --condition={shlex.quote(f'expression={condition},title=one-object')}"
            return Fix(role, name, member, line, condition)
    return None


def _object_alone(resource: str, holder: str) -> str:
    """The condition that leaves a bucket's other objects out; "" for what is no object."""
    _, found, bucket = holder.partition("/buckets/")
    below = resource.removeprefix(holder)
    return f'resource.name == "projects/_/buckets/{bucket}{below}"' if found and below.startswith("/objects/") else ""
