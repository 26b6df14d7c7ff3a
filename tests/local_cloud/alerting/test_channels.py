"""Notification channels as a resource: descriptors, secrets, verification, deletion."""

import pytest
from google.api_core import exceptions
from google.cloud import monitoring_v3

from tests.fidelity import pins
from tests.local_cloud.alerting.alerts_client import NAME, Alerts, depth_of
from tests.local_cloud.cloud_tasks.tasks_target import advance, call


@pins(
    "alerting",
    "Notifications",
    "Descriptors of the kinds of channels that are delivered",
    documented="using-channels-api",
)
def test_descriptors_say_which_labels_a_channel_has(alerts: Alerts) -> None:
    found = {one.type_: one for one in alerts.channels.list_notification_channel_descriptors(name=NAME)}
    kinds = {"email", "pagerduty", "pubsub", "slack", "sms", "webhook_basicauth", "webhook_tokenauth"}
    assert set(found) == kinds
    one = alerts.channels.get_notification_channel_descriptor(name=found["webhook_basicauth"].name)
    assert [label.key for label in one.labels] == ["url", "username", "password"]
    with pytest.raises(exceptions.NotFound):
        alerts.channels.get_notification_channel_descriptor(name=f"{NAME}/notificationChannelDescriptors/pigeon")


@pins("alerting", "Notifications", "Secrets of a channel are not shown again", documented="GetNotificationChannel")
def test_secrets_are_veiled_and_survive_an_update_of_what_was_read(alerts: Alerts) -> None:
    name = alerts.hook("webhook_basicauth", url="http://h.example/x", username="u", password="a-long-secret")
    read = alerts.channels.get_notification_channel(name=name)
    assert read.labels["password"] == "************cret"
    [listed] = alerts.channels.list_notification_channels(request={"name": NAME, "filter": 'type="webhook_basicauth"'})
    assert listed == read
    read.display_name = "other"
    alerts.channels.update_notification_channel(notification_channel=read)
    again = alerts.channels.get_notification_channel(name=name)
    assert (again.display_name, again.labels["password"]) == ("other", "************cret")
    assert len(again.mutation_records) == 2
    assert "a-long-secret" not in str(call(alerts.place, "GET", f"/v3/{name}"))


@pytest.mark.parametrize(
    ("kind", "labels", "words"),
    [
        ("", {}, "must be given"),
        ("pigeon", {}, "Unrecognized"),
        ("email", {}, 'Required label "email_address" is missing'),
        ("email", {"email_address": "nobody"}, "must be an email address"),
        ("email", {"email_address": "a@b.c", "colour": "red"}, 'no label "colour"'),
        ("webhook_tokenauth", {"url": "ftp://x"}, "must be an http or https URL"),
        ("pubsub", {"topic": "alerts"}, "must look like projects/PROJECT/topics/TOPIC"),
    ],
)
def test_a_channel_that_could_not_deliver_is_refused(
    alerts: Alerts, kind: str, labels: dict[str, str], words: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=words):
        alerts.hook(kind, **labels)


def test_a_kind_that_only_google_has_is_refused_by_name(alerts: Alerts) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match="google_chat are not emulated"):
        alerts.hook("google_chat", space="spaces/x")


@pins(
    "alerting",
    "Notifications",
    "Text messages: a channel is verified by a code, which stands in the log; nothing is sent",
    documented="SendNotificationChannelVerificationCode, GetNotificationChannelVerificationCode",
    ours="the code's way to the owner",
)
def test_a_number_is_verified_by_a_code(alerts: Alerts) -> None:
    statuses = monitoring_v3.NotificationChannel.VerificationStatus
    name, twin = (alerts.hook("sms", number="+15550100") for _ in range(2))
    assert alerts.channels.get_notification_channel(name=name).verification_status == statuses.UNVERIFIED
    with pytest.raises(exceptions.FailedPrecondition):
        alerts.channels.get_notification_channel_verification_code(name=name)
    alerts.channels.send_notification_channel_verification_code(name=name)
    with pytest.raises(exceptions.InvalidArgument, match="invalid or has expired"):
        alerts.channels.verify_notification_channel(name=name, code="G-0")
    body = {"resourceNames": [NAME], "filter": f'jsonPayload.channel="{name}"'}
    [entry] = call(alerts.place, "POST", "/v2/entries:list", body)["entries"]
    code = entry["jsonPayload"]["message"].rstrip(".").rpartition(" ")[2]
    made = alerts.channels.verify_notification_channel(name=name, code=code)
    assert made.verification_status == statuses.VERIFIED
    passed_on = alerts.channels.get_notification_channel_verification_code(name=name)
    made = alerts.channels.verify_notification_channel(name=twin, code=passed_on.code)
    assert made.verification_status == statuses.VERIFIED
    advance(alerts.place, 86_401)
    with pytest.raises(exceptions.InvalidArgument, match="invalid or has expired"):
        alerts.channels.verify_notification_channel(name=twin, code=passed_on.code)


@pins(
    "alerting",
    "Notifications",
    "A channel that a policy names is deleted by force only, and then out of the policy",
    documented="DeleteNotificationChannelRequest",
)
def test_a_channel_in_use_goes_by_force_and_out_of_the_policy(alerts: Alerts) -> None:
    channel = alerts.hook("email", email_address="ops@example.com")
    made = alerts.policy("uses", depth_of("a", 1), notification_channels=[channel])
    with pytest.raises(exceptions.FailedPrecondition, match="relying on"):
        alerts.channels.delete_notification_channel(name=channel)
    alerts.channels.delete_notification_channel(name=channel, force=True)
    assert list(alerts.policies.get_alert_policy(name=made.name).notification_channels) == []
    with pytest.raises(exceptions.NotFound):
        alerts.channels.get_notification_channel(name=channel)
    alerts.policies.delete_alert_policy(name=made.name)
