"""Binary Authorization v1: the project's policy and the system's, kept and read back; nothing is admitted by them.

A project that never set a policy has the default one, which allows all images.
Source: google/cloud/binaryauthorization/v1/*.proto, https://cloud.google.com/binary-authorization/docs/policy-yaml-reference.
"""

from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, invalid
from local_cloud.registry import Api, Call
from local_cloud.secrets import stamp

_PACKAGE = "google.cloud.binaryauthorization.v1"
POLICY = f"{_PACKAGE}.Policy"
API = Api(
    "binaryauthorization",
    services=[f"{_PACKAGE}.BinauthzManagementServiceV1", f"{_PACKAGE}.SystemPolicyV1"],
)

#: Images of Google's own that the default policies let through.
SYSTEM = (
    "gcr.io/google_containers/*",
    "gcr.io/google-containers/*",
    "k8s.gcr.io/**",
    "gke.gcr.io/**",
    "gcr.io/stackdriver-agents/*",
)
ALWAYS_ALLOW, REQUIRE = 1, 2
ENFORCE = 1


def _kept(cloud: Cloud) -> Any:
    return cloud.store.messages("binaryauthorization.policies", POLICY)


def _default(name: str) -> Message:
    made = message(POLICY)(name=name, global_policy_evaluation_mode=1)
    for pattern in SYSTEM:
        made.admission_whitelist_patterns.add(name_pattern=pattern)
    made.default_admission_rule.evaluation_mode = ALWAYS_ALLOW
    made.default_admission_rule.enforcement_mode = ENFORCE
    return made


@API.rpc("BinauthzManagementServiceV1.GetPolicy", permission="binaryauthorization.policy.get")
async def get_policy(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The project's policy, or the default one."""
    name = cloud.canonical(request.name)
    return _kept(cloud).get(name) or _default(name)


@API.rpc("BinauthzManagementServiceV1.UpdatePolicy", permission="binaryauthorization.policy.update")
async def update_policy(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Replaces the policy whole."""
    name, kept = cloud.canonical(request.policy.name), _kept(cloud)
    current = kept.get(name)
    if request.policy.etag and (current is None or request.policy.etag != current.etag):
        raise ApiError("ABORTED", "The etag of the policy is stale: somebody else has changed it.")
    made = message(POLICY)()
    made.CopyFrom(request.policy)
    made.name = name
    if not made.HasField("default_admission_rule"):
        raise invalid("The policy must have a defaultAdmissionRule.")
    for rule in (made.default_admission_rule, *made.cluster_admission_rules.values()):
        _check_rule(rule)
    if any(not pattern.name_pattern for pattern in made.admission_whitelist_patterns):
        raise invalid("An admissionWhitelistPattern must have a namePattern.")
    made.etag = current.etag if current is not None else ""
    made.update_time.FromNanoseconds(int(cloud.now() * 1_000_000) * 1000)
    stamp(made)
    kept[name] = made
    return made


@API.rpc("SystemPolicyV1.GetSystemPolicy", permission="binaryauthorization.policy.get", resource=lambda _: "projects/-")
async def get_system_policy(_cloud: Cloud, _call: Call, request: Message) -> Message:
    """Google's own policy of a location."""
    return _default(request.name)


def _check_rule(rule: Message) -> None:
    if not rule.evaluation_mode or not rule.enforcement_mode:
        raise invalid("An admission rule must have an evaluationMode and an enforcementMode.")
    if (rule.evaluation_mode == REQUIRE) != bool(rule.require_attestations_by):
        raise invalid("requireAttestationsBy goes with the evaluationMode REQUIRE_ATTESTATION, and with that alone.")
