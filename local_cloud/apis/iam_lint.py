"""IAM admin v1: LintPolicy, which reads a condition before it is set, and the services whose use can be audited."""

from local_cloud.apis.iam import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import ApiError
from local_cloud.iam import conditions
from local_cloud.registry import Call

V1 = "google.iam.admin.v1"
_CONDITION = enum(f"{V1}.LintResult.Level")["CONDITION"]
_ERROR = enum(f"{V1}.LintResult.Severity")["ERROR"]


@API.rpc("LintPolicy")
async def lint_policy(_cloud: Cloud, _call: Call, request: Message) -> Message:
    """What would be refused of a condition; nothing where it would be taken."""
    found = []
    try:
        conditions.check(request.condition.expression)
    except ApiError as error:
        unit = "LintValidationUnits/ConditionCompileCheck"
        result = {
            "level": _CONDITION,
            "validation_unit_name": unit,
            "severity": _ERROR,
            "field_name": "condition.expression",
            "debug_message": error.text,
        }
        found.append(message(f"{V1}.LintResult")(**result))
    return message(f"{V1}.LintPolicyResponse")(lint_results=found)


@API.rpc("QueryAuditableServices")
async def query_auditable_services(cloud: Cloud, _call: Call, _request: Message) -> Message:
    """Every API of this cloud."""
    hosts = sorted({api.host for api in cloud.apis if api.services})
    return message(f"{V1}.QueryAuditableServicesResponse")(services=[{"name": host} for host in hosts])
