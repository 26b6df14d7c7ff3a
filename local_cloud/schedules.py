"""Jobs on a schedule: when they fire, how an attempt goes out, when a failed one is tried again.

The law behind apis/scheduler.py, driven by the cloud's clock: moving it fires what falls due on the way. The backoff
is that of engines/backoff.py, the wall clock that of engines/cron.py. A firing that fell due while the cloud was down
is made up once at its start; retries that were pending then are not (the next firing comes anyway).
Source: google/cloud/scheduler/v1/{job,target}.proto.
"""

import asyncio
import contextlib
from urllib.parse import urlsplit

from local_cloud.clock import Timer
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum
from local_cloud.engines.backoff import RetryPolicy, delay, exhausted
from local_cloud.engines.cron import parse
from local_cloud.engines.outgoing import Client, Reply, split_url
from local_cloud.errors import NAME, NUMBER, ApiError
from local_cloud.logs.entries import Entries, rfc3339

JOB = "google.cloud.scheduler.v1.Job"
STATES = enum(f"{JOB}.State")
METHODS = {number: name for name, number in enum("google.cloud.scheduler.v1.HttpMethod").items()}
DEFAULT_DEADLINE = 180.0
USER_AGENT = "Google-Cloud-Scheduler"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
#: Headers that the platform sets itself, whatever the job says.
_OURS = frozenset({"host", "content-length", "user-agent", "connection", "transfer-encoding"})
#: The status of an attempt by its HTTP status (google/rpc/code.proto).
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 10, 429: 8, 499: 1, 500: 13, 501: 12, 503: 14, 504: 4}


class Jobs:
    """All jobs of the project, and the timers of those that are enabled."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.kept = cloud.store.messages("scheduler.jobs", JOB)
        self._timers: dict[str, Timer] = {}
        self._running: set[str] = set()
        self._client = Client()

    def start(self) -> None:
        """Set the timers of what was kept."""
        for name, job in self.kept.items():
            if job.state == STATES["ENABLED"]:
                due = job.schedule_time.ToNanoseconds() / 1e9
                self._timers[name] = self._cloud.clock.call_at(due, lambda name=name: self._fire(name))  # type: ignore[misc]

    def stop(self) -> None:
        """Drop connections."""
        self._client.close()

    def plan(self, name: str) -> None:
        """Set a job's next firing, or none where it is not enabled."""
        if timer := self._timers.pop(name, None):
            timer.cancel()
        job = self.kept.get(name)
        if job is None:
            return
        due = parse(job.schedule, job.time_zone).next_after(self._cloud.now())
        if job.state != STATES["ENABLED"] or due is None:
            job.ClearField("schedule_time")
        else:
            job.schedule_time.FromNanoseconds(int(due * 1e9))
            self._timers[name] = self._cloud.clock.call_at(due, lambda: self._fire(name))
        self.kept.save(name)

    async def run(self, name: str) -> None:
        """One attempt now, outside the schedule (RunJob), without waiting for its end."""
        self._cloud.clock.spawn(self._attempt(name, self._cloud.now(), 1, self._cloud.now()), f"schedule {name}")

    def _fire(self, name: str) -> None:
        job = self.kept.get(name)
        if job is None or job.state != STATES["ENABLED"]:
            return
        due = job.schedule_time.ToNanoseconds() / 1e9
        self.plan(name)
        if name not in self._running:  # runs of a job do not overlap
            self._cloud.clock.spawn(self._attempt(name, due, 1, self._cloud.now()), f"schedule {name}")

    async def _attempt(self, name: str, due: float, number: int, first: float) -> None:
        job = self.kept.get(name)
        if job is None:
            return
        self._running.add(name)
        try:
            self._log(name, job, "AttemptStarted", None, due)
            reply = await self._send(name, job, due)
        finally:
            self._running.discard(name)
        if name not in self.kept:
            return
        job.last_attempt_time.FromNanoseconds(int(self._cloud.now() * 1e6) * 1000)
        good = 200 <= reply.status < 300
        code = 0 if good else _CODES.get(reply.status, NUMBER["UNKNOWN"] if reply.status else NUMBER["UNAVAILABLE"])
        job.status.Clear()
        job.status.code = code
        self.kept.save(name)
        self._log(name, job, "AttemptFinished", reply, due)
        if not good:
            self._retry(name, job, due, number, first)

    def _retry(self, name: str, job: Message, due: float, number: int, first: float) -> None:
        if not job.HasField("retry_config"):
            return
        config = job.retry_config
        policy = RetryPolicy(
            max_attempts=config.retry_count + 1,
            max_retry_duration=_seconds(config.max_retry_duration),
            min_backoff=_seconds(config.min_backoff_duration),
            max_backoff=_seconds(config.max_backoff_duration),
            max_doublings=config.max_doublings,
        )
        now = self._cloud.now()
        if exhausted(policy, number, now - first):
            return
        at = now + delay(policy, number)
        upcoming = job.schedule_time.ToNanoseconds() / 1e9
        if not upcoming or at < upcoming:  # the next firing takes over from retries of the one before
            self._cloud.clock.call_at(at, lambda: self._attempt(name, due, number + 1, first))

    async def _send(self, name: str, job: Message, due: float) -> Reply:
        target = job.http_target
        method = METHODS.get(target.http_method, "POST") if target.http_method else "POST"
        try:
            origin, host, path = split_url(target.uri)
            token = self._authorization(target)
        except (ValueError, ApiError) as error:
            return Reply(0, error=str(error))
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"User-Agent: {USER_AGENT}"]
        lines += [f"{key}: {value}" for key, value in target.headers.items() if key.lower() not in _OURS]
        lines += [
            "X-CloudScheduler: true",
            f"X-CloudScheduler-JobName: {name.rpartition('/')[2]}",
            f"X-CloudScheduler-ScheduleTime: {rfc3339(due)}",
            *([f"Authorization: {token}"] if token else []),
            f"Content-Length: {len(target.body)}",
        ]
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        data = "\r\n".join(lines).encode() + b"\r\n\r\n" + target.body
        call = self._client.send(
            origin, data, lambda r: None if answered.done() else answered.set_result(r), method == "HEAD"
        )
        try:
            async with asyncio.timeout(_seconds(job.attempt_deadline) or DEFAULT_DEADLINE):
                return await answered
        except TimeoutError:
            call.cancel()
            return Reply(504, error="the attempt's deadline passed")

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

    def _log(self, name: str, job: Message, what: str, reply: Reply | None, due: float) -> None:
        """The entries that Cloud Scheduler writes to its `executions` log."""
        payload = {
            "@type": f"type.googleapis.com/google.cloud.scheduler.logging.{what}",
            "jobName": name,
            "targetType": "HTTP",
            "url": job.http_target.uri,
        }
        entry = {"logName": "cloudscheduler.googleapis.com/executions", "severity": "INFO", "jsonPayload": payload}
        if reply is None:
            payload["scheduledTime"] = rfc3339(due)
        else:
            if reply.status:
                entry["httpRequest"] = {"status": reply.status}
            if job.status.code:
                entry["severity"] = "ERROR"
                payload["status"] = NAME[job.status.code]
                payload["debugInfo"] = (
                    reply.error or f"URL_ERROR-ERROR_OTHER. Original HTTP response code number = {reply.status}"
                )
        labels = {"project_id": self._cloud.project, "location": name.split("/")[3], "job_id": name.rpartition("/")[2]}
        with contextlib.suppress(KeyError):  # a cloud without the Logging API
            self._cloud.use(Entries).write(entry | {"resource": {"type": "cloud_scheduler_job", "labels": labels}})


def check_uri(uri: str) -> bool:
    """Whether a target's address is an absolute HTTP one."""
    parts = urlsplit(uri)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _seconds(duration: Message) -> float:
    return float(duration.ToNanoseconds()) / 1e9
