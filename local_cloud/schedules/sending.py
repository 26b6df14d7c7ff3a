"""What goes out for an execution: an HTTP request, a message to a topic, a request to App Engine.

Owns the wire and what each answer means. Messages are published as the Scheduler service agent, which may publish to
every topic of the project by its own role. There is no App Engine here: see engines/app_engine.py.
Sources: google/cloud/scheduler/v1/target.proto, https://cloud.google.com/iam/docs/roles-permissions/cloudscheduler.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.engines import app_engine
from local_cloud.engines.outgoing import Client, Reply, split_url
from local_cloud.errors import NUMBER, ApiError
from local_cloud.logs.entries import rfc3339
from local_cloud.pubsub.publishing import publish

METHODS = {number: name for name, number in enum("google.cloud.scheduler.v1.HttpMethod").items()}
DEFAULT_DEADLINE = 180.0
USER_AGENT = "Google-Cloud-Scheduler"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
CONTENT_TYPE = "application/octet-stream"
#: Headers that the platform sets itself, whatever the job says, and the beginnings of more.
_OURS = frozenset({"host", "content-length", "user-agent", "connection", "transfer-encoding"})
_OUR_PREFIXES = ("x-google-", "x-appengine-", "x-cloudscheduler")
#: The status of an attempt by its HTTP status (google/rpc/code.proto).
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 429: 8, 499: 1, 500: 13, 501: 12, 503: 14, 504: 4}


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt: its status (0 is OK), the HTTP status where one came, and why it failed."""

    code: int
    status: int = 0
    debug: str = ""


class Sender:
    """Sends attempts."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._client = Client()

    def close(self) -> None:
        """Drop connections."""
        self._client.close()

    async def send(self, name: str, job: Message, due: float) -> Outcome:
        """One attempt, to its end."""
        kind = job.WhichOneof("target")
        if kind == "pubsub_target":
            return await self._publish(job.pubsub_target)
        if kind == "app_engine_http_target":
            return await self._app_engine(name, job, due)
        return await self._http(name, job, due)

    async def _publish(self, target: Message) -> Outcome:
        try:
            publish(self._cloud, target.topic_name, target.data, dict(target.attributes))
        except ApiError as error:
            return Outcome(NUMBER[error.code], debug=error.text)
        await self._cloud.store.committed()
        return Outcome(0)

    async def _http(self, name: str, job: Message, due: float) -> Outcome:
        target = job.http_target
        try:
            token = self._authorization(target)
        except ApiError as error:
            return Outcome(NUMBER["UNAUTHENTICATED"], debug=f"URL_ERROR-ERROR_AUTHENTICATION. {error.text}")
        own = {name.lower() for name in target.headers}
        headers = [("User-Agent", USER_AGENT)]
        headers += [(key, value) for key, value in target.headers.items() if not _is_ours(key)]
        if target.body and "content-type" not in own:
            headers.append(("Content-Type", CONTENT_TYPE))
        headers += _scheduler_headers(name, due)
        if token:
            headers.append(("Authorization", token))
        return await self._call(METHODS.get(target.http_method, "POST"), target.uri, headers, target.body, job)

    async def _app_engine(self, name: str, job: Message, due: float) -> Outcome:
        application = app_engine.Application(self._cloud.settings)
        sent = application.target(as_task(job), None)
        if sent.nowhere:
            return Outcome(NUMBER["UNAVAILABLE"], debug=sent.nowhere)
        headers = [(key, value) for key, value in sent.headers if key.lower() != "content-length"]
        return await self._call(sent.method, sent.url, [*headers, *_scheduler_headers(name, due)], sent.body, job)

    async def _call(
        self, method: str, url: str, headers: Iterable[tuple[str, str]], body: bytes, job: Message
    ) -> Outcome:
        try:
            origin, host, path = split_url(url)
        except ValueError as error:
            return Outcome(NUMBER["INVALID_ARGUMENT"], debug=str(error))
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{key}: {value}" for key, value in headers)]
        lines.append(f"Content-Length: {len(body)}")
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        data = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        call = self._client.send(
            origin, data, lambda reply: None if answered.done() else answered.set_result(reply), method == "HEAD"
        )
        # By the cloud's clock: a move passes the deadline of an attempt that hangs.
        deadline = job.attempt_deadline.ToNanoseconds() / 1e9 or DEFAULT_DEADLINE
        late = Reply(504, error="URL_TIMEOUT-TIMEOUT_WEB. The attempt's deadline passed.")
        timer = self._cloud.clock.call_later(deadline, lambda: None if answered.done() else answered.set_result(late))
        try:
            reply = await answered
        finally:
            timer.cancel()
        if reply is late:
            call.cancel()
            return Outcome(NUMBER["DEADLINE_EXCEEDED"], debug=late.error)
        return _outcome(reply)

    def _authorization(self, target: Message) -> str:
        kind = target.WhichOneof("authorization_header")
        if kind is None:
            return ""
        account = self._cloud.iam.accounts.get(getattr(target, kind).service_account_email)
        if kind == "oidc_token":
            audience = target.oidc_token.audience or target.uri
            return f"Bearer {self._cloud.iam.accounts.id_token(account.email, audience)}"
        scopes = (target.oauth_token.scope or SCOPE,)
        return f"Bearer {self._cloud.identity.access_token(f'serviceAccount:{account.email}', scopes=scopes).token}"


def as_task(job: Message) -> Message:
    """A job's App Engine target as the task that Cloud Tasks would send for it."""
    target = job.app_engine_http_target
    task = message("google.cloud.tasks.v2.Task")()
    request = task.app_engine_http_request
    request.SetInParent()
    request.http_method, request.relative_uri, request.body = target.http_method, target.relative_uri, target.body
    for field in ("service", "version", "instance", "host"):
        setattr(request.app_engine_routing, field, getattr(target.app_engine_routing, field))
    for key, value in target.headers.items():
        request.headers[key] = value
    return task


def _scheduler_headers(name: str, due: float) -> list[tuple[str, str]]:
    return [
        ("X-CloudScheduler", "true"),
        ("X-CloudScheduler-JobName", name.rpartition("/")[2]),
        ("X-CloudScheduler-ScheduleTime", rfc3339(due)),
    ]


def _is_ours(header: str) -> bool:
    lower = header.lower()
    return lower in _OURS or lower.startswith(_OUR_PREFIXES)


def _outcome(reply: Reply) -> Outcome:
    """What an answer means, in the words that the executions log has for it."""
    status = reply.status
    if 200 <= status < 300:
        return Outcome(0, status)
    if not status:
        return Outcome(NUMBER["UNAVAILABLE"], debug=f"URL_UNREACHABLE-UNREACHABLE_NO_RESPONSE. {reply.error}")
    kind = {401: "URL_ERROR-ERROR_AUTHENTICATION", 403: "URL_ERROR-ERROR_AUTHENTICATION",
            404: "URL_ERROR-ERROR_NOT_FOUND"}.get(status, "URL_ERROR-ERROR_OTHER")  # fmt: skip
    if status >= 500:
        kind = "URL_UNREACHABLE-UNREACHABLE_5xx"
    code = _CODES.get(status, NUMBER["UNKNOWN"])
    return Outcome(code, status, f"{kind}. Original HTTP response code number = {status}")
