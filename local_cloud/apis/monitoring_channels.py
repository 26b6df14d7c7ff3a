"""Cloud Monitoring: notification channels and their descriptors, verification, and what of them is not shown again.

What a channel does is local_cloud/alerting/notifications/'s. Source: google/monitoring/v3/notification_service.proto,
notification.proto.
"""

import re
import secrets
from typing import Any
from urllib.parse import urlsplit

from local_cloud.alerting.engine import Alerting
from local_cloud.alerting.notifications import KINDS, Kind
from local_cloud.alerting.policy_rules import check_labels, number
from local_cloud.alerting.words import CHANNEL, POLICY, wrong
from local_cloud.apis.monitoring import API, stamp_record
from local_cloud.apis.monitoring_policies import listed
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import ApiError, failed_precondition, invalid, not_found
from local_cloud.plain import Plain, merge, page
from local_cloud.registry import Call

#: Kinds of channels that Google has and this cloud has not.
OTHERS = ("campfire", "google_chat", "hipchat", "mobile", "servicenow")
STATUSES = enum(f"{CHANNEL}.VerificationStatus")
MAX_CHANNELS, MAX_RECORDS = 4000, 30
#: Seconds that a code may be given back.
CODE_LASTS = 24 * 3600.0
_OURS = ("name", "creation_record", "mutation_records", "verification_status")


@API.on_start
async def start(cloud: Cloud) -> None:
    """Channels are there again."""
    Plain(cloud, CHANNEL)


def channels(cloud: Cloud) -> Plain:
    """All channels, with their secrets."""
    return Plain(cloud, CHANNEL, noun="Notification channel")


def shown(channel: Message) -> Message:
    """A channel as it is read: of secrets only the end."""
    made = type(channel)()
    made.CopyFrom(channel)
    kind = KINDS.get(channel.type)
    for label in kind.labels if kind is not None else ():
        if label.secret and label.key in made.labels:
            made.labels[label.key] = _veiled(made.labels[label.key])
    return made


def _veiled(secret: str) -> str:
    return "*" * 12 + (secret[-4:] if len(secret) > 8 else "")


@API.rpc("NotificationChannelService.ListNotificationChannelDescriptors",
         permission="monitoring.notificationChannelDescriptors.list")  # fmt: skip
async def list_descriptors(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The kinds of channels."""
    taken, token = page(KINDS.values(), request.page_size, request.page_token, lambda kind: kind.type)
    made = [_descriptor(cloud, kind) for kind in taken]
    response = message("google.monitoring.v3.ListNotificationChannelDescriptorsResponse")
    return response(channel_descriptors=made, next_page_token=token)


@API.rpc("NotificationChannelService.GetNotificationChannelDescriptor",
         permission="monitoring.notificationChannelDescriptors.get")  # fmt: skip
async def get_descriptor(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One kind of channel."""
    kind = KINDS.get(request.name.rpartition("/")[2])
    if kind is None:
        raise not_found(f"Notification channel descriptor '{request.name}' not found.")
    return _descriptor(cloud, kind)


def _descriptor(cloud: Cloud, kind: Kind) -> Message:
    text = kind.text + (f" Here {kind.warning}." if kind.warning else "")
    return message("google.monitoring.v3.NotificationChannelDescriptor")(
        name=f"projects/{cloud.project}/notificationChannelDescriptors/{kind.type}",
        type=kind.type, display_name=kind.name, description=text, launch_stage=enum("google.api.LaunchStage")["GA"],
        labels=[{"key": label.key, "description": label.text} for label in kind.labels],
    )  # fmt: skip


@API.rpc("NotificationChannelService.CreateNotificationChannel", permission="monitoring.notificationChannels.create")
async def create_channel(cloud: Cloud, call: Call, request: Message) -> Message:
    """A new channel."""
    kept = channels(cloud)
    if len(kept.kept) >= MAX_CHANNELS:
        text = f"The project has {MAX_CHANNELS} notification channels, which is the limit."
        raise ApiError("RESOURCE_EXHAUSTED", text)
    made = message(CHANNEL)()
    made.CopyFrom(request.notification_channel)
    for field in _OURS:
        made.ClearField(field)
    kind = _check(made)
    made.name = f"{cloud.canonical(request.name)}/notificationChannels/{number()}"
    if kind.verified:
        made.verification_status = STATUSES["UNVERIFIED"]
    if not made.HasField("enabled"):
        made.enabled.value = True
    stamp_record(cloud, call, made.creation_record)
    made.mutation_records.add().CopyFrom(made.creation_record)
    if kind.warning:
        text = f"Notification channel {made.name} is kept, but {kind.warning}."
        cloud.log.event("WARNING", text, component="alerting")
    return shown(kept.create(made.name, made))


@API.rpc("NotificationChannelService.GetNotificationChannel", permission="monitoring.notificationChannels.get")
async def get_channel(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One channel."""
    return shown(channels(cloud).get(request.name))


@API.rpc("NotificationChannelService.ListNotificationChannels", permission="monitoring.notificationChannels.list")
async def list_channels(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The channels that a filter lets through."""
    found = [shown(one) for one in channels(cloud).below(f"{request.name}/notificationChannels")]
    taken, total, token = listed(found, request)
    response = message("google.monitoring.v3.ListNotificationChannelsResponse")
    return response(notification_channels=taken, total_size=total, next_page_token=token)


@API.rpc("NotificationChannelService.UpdateNotificationChannel", permission="monitoring.notificationChannels.update")
async def update_channel(cloud: Cloud, call: Call, request: Message) -> Message:
    """Replaces a channel, or the fields of the mask. A secret that comes back as it was shown stays what it is."""
    kept, name = channels(cloud), cloud.canonical(request.notification_channel.name)
    current = kept.get(name)
    made = merge(current, request.notification_channel, request.update_mask.paths)
    if made.type != current.type:
        raise wrong("notification_channel.type", made.type, "The type of a channel cannot be changed.")
    for field in _OURS:
        made.ClearField(field)
    veiled = shown(current)
    for key in set(made.labels) & set(current.labels):
        if made.labels[key] == veiled.labels[key]:
            made.labels[key] = current.labels[key]
    kind = _check(made)
    made.name = name
    if kind.verified:
        same = made.labels == current.labels
        made.verification_status = current.verification_status if same else STATUSES["UNVERIFIED"]
    if not made.HasField("enabled"):
        made.enabled.value = True
    made.creation_record.CopyFrom(current.creation_record)
    made.mutation_records.extend(list(current.mutation_records)[1 - MAX_RECORDS :])
    stamp_record(cloud, call, made.mutation_records.add())
    kept.kept[name] = made
    return shown(made)


@API.rpc("NotificationChannelService.DeleteNotificationChannel", permission="monitoring.notificationChannels.delete")
async def delete_channel(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A channel goes; where policies name it, by force only, and out of them."""
    kept, policies = channels(cloud), Plain(cloud, POLICY)
    kept.get(request.name)
    using = [p for p in policies.kept.values() if request.name in map(cloud.canonical, p.notification_channels)]
    if using and not request.force:
        raise failed_precondition(
            f"Cannot delete notification channel {request.name}. One or more alerting policies are relying on "
            "this channel. Remove it from them, or delete it with force."
        )
    for policy in using:
        left = [one for one in policy.notification_channels if cloud.canonical(one) != request.name]
        del policy.notification_channels[:]
        policy.notification_channels.extend(left)
        for strategy in policy.alert_strategy.notification_channel_strategy:
            named = [one for one in strategy.notification_channel_names if one in left]
            del strategy.notification_channel_names[:]
            strategy.notification_channel_names.extend(named)
        policies.kept.save(policy.name)
        cloud.use(Alerting).put(policy)
    kept.delete(request.name)
    return message("google.protobuf.Empty")()


@API.rpc("NotificationChannelService.SendNotificationChannelVerificationCode",
         permission="monitoring.notificationChannels.sendVerificationCode")  # fmt: skip
async def send_code(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A code goes to the channel's owner: here into the cloud's log."""
    channel = channels(cloud).get(request.name)
    if not _kind(channel.type).verified:
        raise invalid(f"Channels of type {channel.type} are not verified by a code.")
    code = _new_code(cloud, request.name, cloud.now() + CODE_LASTS)
    text = f"The verification code of notification channel {request.name} is {code}."
    cloud.log.event("NOTICE", text, component="alerting", channel=request.name)
    return message("google.protobuf.Empty")()


@API.rpc("NotificationChannelService.GetNotificationChannelVerificationCode",
         permission="monitoring.notificationChannels.getVerificationCode")  # fmt: skip
async def get_code(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A code with which another channel to the same place can be verified."""
    channel = channels(cloud).get(request.name)
    if channel.verification_status != STATUSES["VERIFIED"]:
        raise failed_precondition(f"The notification channel {request.name} is not verified.")
    now, last = cloud.now(), cloud.now() + CODE_LASTS
    ends = request.expire_time.ToNanoseconds() / 1e9 if request.HasField("expire_time") else last
    if not now < ends <= last:
        raise wrong("expireTime", request.expire_time.ToJsonString(), "It must be within the next 24 hours.")
    made = message("google.monitoring.v3.GetNotificationChannelVerificationCodeResponse")
    response = made(code=_new_code(cloud, _place(channel), ends))
    response.expire_time.FromNanoseconds(int(ends * 1e9))
    return response


@API.rpc("NotificationChannelService.VerifyNotificationChannel",
         permission="monitoring.notificationChannels.verify")  # fmt: skip
async def verify(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Gives a code back."""
    kept, codes = channels(cloud), cloud.store.json("alerting.codes")
    channel = kept.get(request.name)
    for place in (request.name, _place(channel)):
        known = codes.get(place)
        if known is not None and known["code"] == request.code and cloud.now() < known["ends"]:
            channel.verification_status = STATUSES["VERIFIED"]
            kept.kept.save(request.name)
            return shown(channel)
    raise invalid("The verification code is invalid or has expired.")


def _new_code(cloud: Cloud, place: str, ends: float) -> str:
    code = f"G-{secrets.randbelow(10**6):06}"
    cloud.store.json("alerting.codes")[place] = {"code": code, "ends": ends}
    return code


def _place(channel: Message) -> str:
    """What makes channels the same: their kind and labels."""
    return f"{channel.type} {sorted(channel.labels.items())}"


def _kind(name: str) -> Kind:
    kind = KINDS.get(name)
    if kind is None and name in OTHERS:
        known = ", ".join(sorted(KINDS))
        raise ApiError("UNIMPLEMENTED", f"Notification channels of type {name} are not emulated: {known} are.")
    if kind is None:
        raise wrong("notification_channel.type", name, "Unrecognized notification channel type.")
    return kind


def _check(made: Message) -> Kind:
    if not made.type:
        raise wrong("notification_channel.type", "", "The type of the channel must be given.")
    kind = _kind(made.type)
    if len(made.display_name) > 512:
        raise wrong("notification_channel.display_name", made.display_name, "It is limited to 512 characters.")
    if len(made.description) > 1024:
        raise wrong("notification_channel.description", made.description, "It is limited to 1024 characters.")
    check_labels(made.user_labels, "notification_channel.user_labels")
    known = {label.key for label in kind.labels}
    for key in made.labels:
        if key not in known:
            why = f'Channels of type "{kind.type}" have no label "{key}", but {", ".join(sorted(known))}.'
            raise wrong("notification_channel.labels", key, why)
    for label in kind.labels:
        if label.required and not made.labels.get(label.key):
            raise wrong("notification_channel.labels", "", f'Required label "{label.key}" is missing.')
        if (value := made.labels.get(label.key)) and (why := _FORMS.get(label.key, _any)(value)):
            raise wrong(f'notification_channel.labels["{label.key}"]', value, why)
    return kind


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    return "" if good and value.isprintable() and " " not in value else "It must be an http or https URL."


def _mail(value: str) -> str:
    return "" if re.fullmatch(r"[^@\s]+@[^@\s]+", value) else "It must be an email address."


def _topic(value: str) -> str:
    fits = re.fullmatch(r"projects/[^/]+/topics/[^/]+", value)
    return "" if fits else "It must look like projects/PROJECT/topics/TOPIC."


def _any(_value: str) -> str:
    return ""


_FORMS: dict[str, Any] = {"url": _url, "email_address": _mail, "topic": _topic}
