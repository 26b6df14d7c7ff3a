"""Cloud Billing Budgets v1: kept and read back. Nothing costs money here, so that no budget ever alerts.

The project's one billing account is open (apis/billing.py). What a budget notifies must be there.
Source: google/cloud/billing/budgets/v1/*.proto, https://cloud.google.com/billing/docs/how-to/budgets.
"""

import uuid
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, invalid, not_found
from local_cloud.plain import merge, page
from local_cloud.registry import Api, Call
from local_cloud.secrets import stamp

_PACKAGE = "google.cloud.billing.budgets.v1"
BUDGET = f"{_PACKAGE}.Budget"
API = Api("billingbudgets", services=[f"{_PACKAGE}.BudgetService"])

MOST_CHANNELS = 5


def _kept(cloud: Cloud) -> Any:
    return cloud.store.messages("billing.budgets", BUDGET)


def _get(cloud: Cloud, name: str) -> Message:
    found = _kept(cloud).get(name)
    if found is None:
        raise not_found("Requested entity was not found.")
    return found


@API.rpc("CreateBudget", permission="billing.budgets.create")
async def create_budget(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A new budget of a billing account."""
    made = message(BUDGET)()
    made.CopyFrom(request.budget)
    made.name = f"{request.parent}/budgets/{uuid.uuid4()}"
    _complete(made)
    _check(cloud, made)
    stamp(made)
    _kept(cloud)[made.name] = made
    return made


@API.rpc("GetBudget", permission="billing.budgets.get")
async def get_budget(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One budget."""
    return _get(cloud, request.name)


@API.rpc("ListBudgets", permission="billing.budgets.list")
async def list_budgets(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The budgets of a billing account, all or those of a project."""
    found = [one for name, one in _kept(cloud).items() if name.startswith(f"{request.parent}/budgets/")]
    if request.scope:
        found = [one for one in found if request.scope in one.budget_filter.projects]
    taken, token = page(found, request.page_size, request.page_token, lambda one: str(one.name))
    return message(f"{_PACKAGE}.ListBudgetsResponse")(budgets=taken, next_page_token=token)


@API.rpc("UpdateBudget", permission="billing.budgets.update")
async def update_budget(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Changes the fields of the mask; who gives an etag must have seen the last state."""
    current = _get(cloud, request.budget.name)
    if request.budget.etag and request.budget.etag != current.etag:
        raise ApiError("ABORTED", "The etag of the budget is stale: somebody else has changed it. Read it again.")
    made = merge(current, request.budget, request.update_mask.paths)
    made.name, made.etag = current.name, current.etag
    _complete(made)
    _check(cloud, made)
    stamp(made)
    _kept(cloud)[made.name] = made
    return made


@API.rpc("DeleteBudget", permission="billing.budgets.delete")
async def delete_budget(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forgets a budget."""
    _get(cloud, request.name)
    del _kept(cloud)[request.name]
    return message("google.protobuf.Empty")()


def _complete(made: Message) -> None:
    """What Google fills in: the month, all credits, current spend, the project by its number."""
    chosen = made.budget_filter
    enums = chosen.DESCRIPTOR.fields_by_name
    if chosen.WhichOneof("usage_period") is None:
        chosen.calendar_period = 1
    if not chosen.credit_types_treatment:
        values = enums["credit_types_treatment"].enum_type.values_by_name
        chosen.credit_types_treatment = values["INCLUDE_ALL_CREDITS"].number
    for rule in made.threshold_rules:
        rule.spend_basis = rule.spend_basis or 1
    specified = made.amount.specified_amount
    if made.amount.WhichOneof("budget_amount") == "specified_amount" and not specified.currency_code:
        specified.currency_code = "USD"
    if made.HasField("notifications_rule") and not made.notifications_rule.schema_version:
        made.notifications_rule.schema_version = "1.0" if made.notifications_rule.pubsub_topic else ""


def _check(cloud: Cloud, made: Message) -> None:
    kind = made.amount.WhichOneof("budget_amount")
    if kind is None:
        raise invalid("Request contains an invalid argument: the budget must have an amount.")
    if kind == "specified_amount" and made.amount.specified_amount.units < 0:
        raise invalid("Request contains an invalid argument: the budget's amount must not be negative.")
    if len(made.display_name) > 60:
        raise invalid("Request contains an invalid argument: a display name has at most 60 characters.")
    if any(rule.threshold_percent < 0 for rule in made.threshold_rules):
        raise invalid("Request contains an invalid argument: a threshold must not be negative.")
    for project in made.budget_filter.projects:
        cloud.canonical(project)
    _check_notified(cloud, made.notifications_rule)


def _check_notified(cloud: Cloud, rule: Message) -> None:
    if topic := str(rule.pubsub_topic):
        topics = cloud.store.messages("pubsub.topics", "google.pubsub.v1.Topic")
        if cloud.canonical(topic) not in topics:
            raise invalid(f"Request contains an invalid argument: the Pub/Sub topic {topic} does not exist.")
        if rule.schema_version != "1.0":
            raise invalid("Request contains an invalid argument: the schema version must be 1.0.")
    if len(rule.monitoring_notification_channels) > MOST_CHANNELS:
        raise invalid(f"Request contains an invalid argument: at most {MOST_CHANNELS} channels may be given.")
    channels = cloud.store.messages(
        "plain.google.monitoring.v3.NotificationChannel", "google.monitoring.v3.NotificationChannel"
    )
    for name in rule.monitoring_notification_channels:
        if cloud.canonical(name) not in channels:
            raise invalid(f"Request contains an invalid argument: the notification channel {name} does not exist.")
