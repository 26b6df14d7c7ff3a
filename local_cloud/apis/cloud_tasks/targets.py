"""Where a task goes: its request, after what its queue overrides, and the token that it carries.

Source: the v2 reference of HttpTarget, UriOverride, OidcToken and OAuthToken. What a URL does not have (a port, a path,
a query) is what IF_NOT_EXISTS lets a queue set. App Engine's tasks are in app_engine.py.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from local_cloud.apis.cloud_tasks import queue_rules
from local_cloud.apis.cloud_tasks.task_rules import DEFAULT_SCOPE, METHOD_NAMES
from local_cloud.apis.cloud_tasks.times import seconds
from local_cloud.bearer import bearer
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.engines.app_engine import Application
from local_cloud.engines.attempt import Identity, Target, encode_url
from local_cloud.engines.backoff import RetryPolicy
from local_cloud.engines.queues import Queue
from local_cloud.engines.tasks import Task

Stored = message("google.cloud.tasks.v2.Task")
SCHEMES = enum("google.cloud.tasks.v2.UriOverride.Scheme")
MODES = enum("google.cloud.tasks.v2.UriOverride.UriOverrideEnforceMode")

#: The host of a task from BufferTask, which has no address but its queue's.
NOWHERE = "invalid.invalid"


class Targets:
    """What the dispatcher sends for a task now."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, queue: Queue, task: Task) -> Target:
        """The task's request after the queue's overrides."""
        stored = Stored.FromString(task.spec)
        if stored.WhichOneof("message_type") == "app_engine_http_request":
            overridden = queue.spec.HasField("app_engine_routing_override")
            return self._application.target(stored, queue.spec.app_engine_routing_override if overridden else None)
        request = stored.http_request
        override = queue.spec.http_target
        headers = list(request.headers.items())
        if not queue.spec.HasField("http_target"):
            return Target(
                METHOD_NAMES[request.http_method],
                request.url,
                headers,
                request.body,
                seconds(stored.dispatch_deadline),
                _identity(request, request.url),
            )
        method = METHOD_NAMES[override.http_method or request.http_method]
        url = _overridden(request.url, override.uri_override) if override.HasField("uri_override") else request.url
        return Target(
            method,
            url,
            list(_merged(headers, override)),
            request.body if method in ("POST", "PUT", "PATCH") else b"",
            seconds(stored.dispatch_deadline),
            _identity(override, url) or _identity(request, url),
        )


def retry_of(spec: bytes) -> RetryPolicy | None:
    """The retry law that a stored task has of its own."""
    stored = Stored.FromString(spec)
    return queue_rules.retry_policy(stored.retry_config) if stored.HasField("retry_config") else None


class Tokens:
    """The Authorization header of an attempt, made from the account that the task names at that moment."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def __call__(self, target: Target) -> str:
        """Mints the token, or says why there is none."""
        identity = target.identity
        assert identity is not None
        return bearer(self._cloud, identity)


def _identity(holder: Message, url: str) -> Identity | None:
    kind = holder.WhichOneof("authorization_header")
    if kind == "oidc_token":
        return Identity(holder.oidc_token.service_account_email, holder.oidc_token.audience or url)
    if kind == "oauth_token":
        return Identity(holder.oauth_token.service_account_email, scope=holder.oauth_token.scope or DEFAULT_SCOPE)
    return None


def _merged(headers: list[tuple[str, str]], override: Message) -> Iterator[tuple[str, str]]:
    """The task's headers, with those of the queue in place of its own of the same name."""
    over = {item.header.key.lower(): (item.header.key, item.header.value) for item in override.header_overrides}
    yield from ((name, value) for name, value in headers if name.lower() not in over)
    yield from over.values()


def _overridden(url: str, override: Message) -> str:
    """The URL with the queue's parts in it: all that it sets, or only what the URL does not have."""
    parts = urlsplit(url)
    always = override.uri_override_enforce_mode != MODES["IF_NOT_EXISTS"] or parts.hostname == NOWHERE
    scheme, host, port, path, query = parts.scheme, parts.hostname or "", parts.port, parts.path, parts.query
    if override.HasField("scheme") and always:
        scheme = "http" if override.scheme == SCHEMES["HTTP"] else "https"
    if override.HasField("host") and always:
        host = override.host
    if override.HasField("port") and (always or port is None):
        port = override.port
    if override.HasField("path_override") and (always or path in ("", "/")):
        path = override.path_override.path
    if override.HasField("query_override") and (always or not query):
        query = override.query_override.query_params
    netloc = f"[{host}]" if ":" in host and not host.startswith("[") else host
    if port:
        netloc += f":{port}"
    return encode_url(urlunsplit((scheme, netloc, path if path.startswith("/") else f"/{path}", query, "")))
