"""Cloud Monitoring: alert policies made, read, listed, changed and deleted. What they do is local_cloud/alerting/'s.

Source: google/monitoring/v3/alert_service.proto, alert.proto.
"""

from local_cloud.alerting import policy_rules
from local_cloud.alerting.engine import Alerting
from local_cloud.alerting.listing import matching, ordered
from local_cloud.alerting.words import POLICY
from local_cloud.apis.monitoring import API, stamp_record
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError
from local_cloud.plain import Plain, merge, page
from local_cloud.registry import Call
from local_cloud.server.json_codec import encode

#: Policies of a project, and of a page.
MAX_POLICIES, MAX_PAGE = 2000, 1000
#: What an update leaves as it is, whatever it says.
_OURS = ("name", "creation_record", "mutation_record", "validity")


@API.on_start
async def start(cloud: Cloud) -> None:
    """Policies are at work again."""
    alerting = Alerting(cloud)
    cloud.provide(alerting)
    alerting.start()


@API.on_stop
async def stop(cloud: Cloud) -> None:
    """What is not delivered yet is kept."""
    cloud.use(Alerting).stop()


def policies(cloud: Cloud) -> Plain:
    """All policies."""
    return Plain(cloud, POLICY, noun="Alert policy")


@API.rpc("AlertPolicyService.CreateAlertPolicy", permission="monitoring.alertPolicies.create")
async def create_alert_policy(cloud: Cloud, call: Call, request: Message) -> Message:
    """A new policy; its name and those of its conditions are the server's."""
    kept = policies(cloud)
    if len(kept.kept) >= MAX_POLICIES:
        raise ApiError("RESOURCE_EXHAUSTED", f"The project has {MAX_POLICIES} alert policies, which is the limit.")
    made = message(POLICY)()
    made.CopyFrom(request.alert_policy)
    policy_rules.check(cloud, made)
    made.name = f"{cloud.canonical(request.name)}/alertPolicies/{policy_rules.number()}"
    policy_rules.complete(made, None)
    stamp_record(cloud, call, made.mutation_record)
    made.creation_record.CopyFrom(made.mutation_record)
    kept.create(made.name, made)
    cloud.use(Alerting).put(made)
    return made


@API.rpc("AlertPolicyService.GetAlertPolicy", permission="monitoring.alertPolicies.get")
async def get_alert_policy(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One policy."""
    return policies(cloud).get(request.name)


@API.rpc("AlertPolicyService.ListAlertPolicies", permission="monitoring.alertPolicies.list")
async def list_alert_policies(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The policies that a filter lets through."""
    kept = policies(cloud)
    found, total, token = listed(kept.below(f"{request.name}/alertPolicies"), request)
    response = message("google.monitoring.v3.ListAlertPoliciesResponse")
    return response(alert_policies=found, total_size=total, next_page_token=token)


@API.rpc("AlertPolicyService.UpdateAlertPolicy", permission="monitoring.alertPolicies.update")
async def update_alert_policy(cloud: Cloud, call: Call, request: Message) -> Message:
    """Replaces a policy, or the fields of the mask."""
    kept, name = policies(cloud), cloud.canonical(request.alert_policy.name)
    current = kept.get(name)
    made = merge(current, request.alert_policy, request.update_mask.paths)
    for field in _OURS:
        made.ClearField(field)
    policy_rules.check(cloud, made)
    made.name = name
    policy_rules.complete(made, current)
    made.creation_record.CopyFrom(current.creation_record)
    stamp_record(cloud, call, made.mutation_record)
    kept.kept[name] = made
    cloud.use(Alerting).put(made)
    return made


@API.rpc("AlertPolicyService.DeleteAlertPolicy", permission="monitoring.alertPolicies.delete")
async def delete_alert_policy(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A policy goes, and its incidents close."""
    policies(cloud).get(request.name)
    cloud.use(Alerting).remove(request.name)
    policies(cloud).delete(request.name)
    return message("google.protobuf.Empty")()


def listed(items: list[Message], request: Message) -> tuple[list[Message], int, str]:
    """One page of what the request's filter lets through in the order it asks for: it, how many in all, the token."""
    test = matching(request.filter)
    shown = {str(item.name): encode(item) for item in items} if request.filter or request.order_by else {}
    chosen = [item for item in items if not request.filter or test(shown[str(item.name)])]
    if request.order_by:
        by_name = {str(item.name): item for item in chosen}
        chosen = [by_name[one["name"]] for one in ordered([shown[name] for name in by_name], request.order_by)]
    else:
        chosen.sort(key=lambda item: str(item.name))
    at = {id(item): f"{index:08}" for index, item in enumerate(chosen)}
    taken, token = page(
        chosen, request.page_size, request.page_token, lambda item: at[id(item)], default=MAX_PAGE, most=MAX_PAGE
    )
    return taken, len(chosen), token
