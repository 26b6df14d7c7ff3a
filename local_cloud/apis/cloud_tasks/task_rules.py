"""What a task may say, and the form in which it is kept.

A stored task is the encoded Task message without what the dispatcher keeps itself (name, times, counts, attempts).
Source: the v2 reference of Task and HttpRequest, and messages seen from the real service.
"""

import ipaddress
from functools import lru_cache

from local_cloud.apis.cloud_tasks.queue_rules import check_retry, fill_retry
from local_cloud.apis.cloud_tasks.times import is_duration, is_time, put_duration, put_time, seconds
from local_cloud.descriptors import Message, enum, message
from local_cloud.engines import app_engine
from local_cloud.engines.attempt import USER_AGENT, encode_url
from local_cloud.engines.headers import MAX_BYTES, check_headers
from local_cloud.engines.outgoing import split_url
from local_cloud.engines.tasks import Task
from local_cloud.errors import invalid
from local_cloud.pacific import pacific

Stored = message("google.cloud.tasks.v2.Task")

METHODS = enum("google.cloud.tasks.v2.HttpMethod")
METHOD_NAMES = {number: name for name, number in METHODS.items()}

#: The largest task as it is stored, with its name and times.
MAX_TASK_BYTES = 1_048_569
#: What name and times add to a stored request at most.
NAME_AND_TIMES = 1024
#: The longest URL after encoding.
MAX_URL = 2083
#: How far ahead a task may be scheduled: 720 hours.
MAX_AHEAD = 720 * 3600.0
#: Dispatch deadlines of HTTP tasks.
MIN_DEADLINE, MAX_DEADLINE, DEFAULT_DEADLINE = 15.0, 1800.0, 600.0
#: Methods that may carry a body.
WITH_BODY = frozenset({METHODS["POST"], METHODS["PUT"], METHODS["PATCH"]})
#: The scope of an access token that a task asks for without saying which.
DEFAULT_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def check(task: Message, now: float) -> None:
    """Refuses what the real service refuses, where the wording is known in its words."""
    kind = task.WhichOneof("message_type")
    if kind is None:
        raise invalid("Task.payload_type is not set.")
    deadline = task.dispatch_deadline
    if kind == "app_engine_http_request":
        app_engine.check(task)
        least, most, words = app_engine.MIN_DEADLINE, app_engine.MAX_DEADLINE, "[15s, 24h15s]"
        given = task.HasField("dispatch_deadline") and (deadline.seconds or deadline.nanos)  # 0: the default
    else:
        _check_request(task.http_request)
        least, most, words = MIN_DEADLINE, MAX_DEADLINE, "[15s, 30m]"
        given = task.HasField("dispatch_deadline")
    if given and not (is_duration(deadline) and least <= seconds(deadline) <= most):
        raise invalid(f"Task.dispatchDeadline must be between {words}.")
    if not is_time(task.schedule_time):
        raise invalid("Task.scheduleTime is not a valid timestamp.")
    if task.HasField("schedule_time") and seconds(task.schedule_time) > now + MAX_AHEAD:
        when = pacific(task.schedule_time.seconds)
        raise invalid(
            f"The Task.scheduleTime, {when}, is too far in the future. "
            "Schedule time must be no more than 720h in the future."
        )
    if task.HasField("retry_config"):
        check_retry(task.retry_config)


def stored(task: Message, application: app_engine.Application) -> bytes:
    """The checked task as it is kept, with Google's defaults filled in."""
    kept = Stored()
    if task.WhichOneof("message_type") == "app_engine_http_request":
        kept.app_engine_http_request.CopyFrom(app_engine.stored(task, application))
        deadline = seconds(task.dispatch_deadline)
    else:
        kept.http_request.CopyFrom(task.http_request)
        _fill(kept.http_request)
        deadline = seconds(task.dispatch_deadline) if task.HasField("dispatch_deadline") else DEFAULT_DEADLINE
    if deadline:
        put_duration(kept.dispatch_deadline, int(deadline * 1000) / 1000)
    if task.HasField("retry_config"):
        kept.retry_config.CopyFrom(task.retry_config)
        fill_retry(kept.retry_config)
    spec: bytes = kept.SerializeToString()
    return spec


def check_size(queue: str, task: Task) -> None:
    """Refuses a task that is too large as Google counts: the stored form with its name and times."""
    size = len(task.spec)
    if size <= MAX_TASK_BYTES - NAME_AND_TIMES:
        return
    rest = Stored(name=f"{queue}/tasks/{task.id}")
    put_time(rest.schedule_time, task.schedule)
    rest.create_time.seconds = int(task.created)
    if size + rest.ByteSize() > MAX_TASK_BYTES:
        raise invalid("Task size too large")


def _fill(request: Message) -> None:
    """Puts in what the service adds to an HTTP request."""
    request.url = encode_url(request.url)
    request.http_method = request.http_method or METHODS["POST"]
    for name in [name for name in request.headers if name.lower() == "user-agent"]:
        del request.headers[name]
    request.headers["User-Agent"] = USER_AGENT
    if request.oidc_token.service_account_email and not request.oidc_token.audience:
        request.oidc_token.audience = request.url
    if request.oauth_token.service_account_email and not request.oauth_token.scope:
        request.oauth_token.scope = DEFAULT_SCOPE


def account(task: Message) -> str:
    """The service account whose token the task carries, or nothing."""
    request = task.http_request
    email: str = request.oidc_token.service_account_email or request.oauth_token.service_account_email
    if not email and request.WhichOneof("authorization_header"):
        raise invalid("HttpRequest.authorization_header must name a service account (serviceAccountEmail).")
    return email


def _check_request(request: Message) -> None:
    url: str = request.url
    if not url:
        raise invalid("HttpRequest.url is required.")
    if not url.startswith(("http://", "https://")):
        raise invalid("HttpTarget.url must start with 'http://' or 'https://'.")
    host = _host(url)
    signed = request.WhichOneof("authorization_header")
    if signed and url.startswith("http://") and not _is_local(host):
        raise invalid("HttpRequest.url must start with 'https://' for request with HttpRequest.authorization_header")
    if request.http_method not in METHOD_NAMES:
        raise invalid(f"HttpRequest.httpMethod {request.http_method} is not known.")
    if request.body and (request.http_method or METHODS["POST"]) not in WITH_BODY:
        raise invalid("HttpRequest.body is allowed only if the HTTP method is POST, PUT, or PATCH.")
    check_headers(request.headers, "HttpRequest.headers", MAX_BYTES)


@lru_cache(maxsize=512)  # a queue's tasks mostly have one address
def _host(url: str) -> str:
    if len(encode_url(url)) > MAX_URL:
        raise invalid(f"HttpRequest.url must be at most {MAX_URL} characters after encoding.")
    try:
        return split_url(url)[0].host
    except ValueError as error:
        raise invalid(f"HttpRequest.url is not a valid URL: {error}.") from None


def _is_local(host: str) -> bool:
    """Loopback is where the local cloud's services live; TLS there would be for nobody."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
