"""What a job may be: its schedule, target, deadline and retries, and what is filled in.

Source: google/cloud/scheduler/v1/{job,target}.proto, https://cloud.google.com/scheduler/quotas.
"""

import re
from urllib.parse import urlsplit

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum
from local_cloud.engines import app_engine
from local_cloud.engines.cron import ScheduleError, parse
from local_cloud.engines.headers import MAX_BYTES, check_headers
from local_cloud.errors import invalid, not_found
from local_cloud.registry import Principal
from local_cloud.schedules.sending import DEFAULT_DEADLINE, METHODS, as_task

#: An attempt may take this long (seconds), at App Engine longer; retries at most.
MIN_DEADLINE, MAX_DEADLINE, MAX_RETRIES = 15, 1800, 5
MAX_APP_ENGINE_DEADLINE = 24 * 3600 + 15
#: Defaults of RetryConfig, in seconds.
MIN_BACKOFF, MAX_BACKOFF, MAX_DOUBLINGS = 5, 3600, 5
#: Characters of a target's address and of a description; bytes of a job.
MAX_URI, MAX_DESCRIPTION, MAX_JOB_BYTES = 2083, 500, 1_048_576
NUMBERS = enum("google.cloud.scheduler.v1.HttpMethod")
_WITH_BODY = frozenset(NUMBERS[name] for name in ("POST", "PUT", "PATCH"))
_TOPIC = re.compile(r"projects/[^/]+/topics/[^/]+")


def check(cloud: Cloud, principal: Principal, job: Message) -> None:
    """Refuses what cannot be, and fills in Google's defaults."""
    kind = job.WhichOneof("target")
    if kind is None:
        raise invalid("Job must have a target.")
    if not job.schedule:
        raise invalid("Job.schedule must be set.")
    if len(job.description) > MAX_DESCRIPTION:
        raise invalid(f"Job.description must not be longer than {MAX_DESCRIPTION} characters.")
    if job.ByteSize() > MAX_JOB_BYTES:
        raise invalid(f"Job must not be larger than {MAX_JOB_BYTES} bytes.")
    job.time_zone = job.time_zone or "Etc/UTC"
    try:
        parse(job.schedule, job.time_zone)
    except ScheduleError as error:
        raise invalid(f"Schedule or time zone is invalid: {error}.") from None
    {"http_target": _check_http, "pubsub_target": _check_topic, "app_engine_http_target": _check_app_engine}[kind](
        cloud, principal, job
    )
    # A job made without retries reads back without them; those given are completed.
    if job.retry_config.ByteSize():
        _check_retries(job.retry_config)
    else:
        job.ClearField("retry_config")


def _check_deadline(job: Message, most: int) -> None:
    if not job.HasField("attempt_deadline"):
        job.attempt_deadline.FromSeconds(int(DEFAULT_DEADLINE))
    if not MIN_DEADLINE <= job.attempt_deadline.ToNanoseconds() / 1e9 <= most:
        raise invalid(f"Job.attempt_deadline must be between {MIN_DEADLINE}s and {most}s.")


def _check_http(cloud: Cloud, principal: Principal, job: Message) -> None:
    target = job.http_target
    _check_deadline(job, MAX_DEADLINE)
    parts = urlsplit(target.uri)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\0]", target.uri):
        raise invalid(f"HttpTarget.uri must be an absolute http:// or https:// URL, not '{target.uri}'.")
    if len(target.uri) > MAX_URI:
        raise invalid(f"HttpTarget.uri must be at most {MAX_URI} characters.")
    target.http_method = target.http_method or NUMBERS["POST"]
    if target.http_method not in METHODS:
        raise invalid(f"HttpTarget.http_method {target.http_method} is not known.")
    if target.body and target.http_method not in _WITH_BODY:
        raise invalid("HttpTarget.body is allowed only if the HTTP method is POST, PUT or PATCH.")
    check_headers(target.headers, "HttpTarget.headers", MAX_BYTES)
    if token := target.WhichOneof("authorization_header"):
        _check_account(cloud, principal, getattr(target, token).service_account_email)
        if token == "oidc_token" and not target.oidc_token.audience:
            target.oidc_token.audience = target.uri


def _check_account(cloud: Cloud, principal: Principal, email: str) -> None:
    account = cloud.iam.accounts.find(email)
    if account is None and email.endswith(f"@{cloud.iam.accounts.domain}"):
        raise not_found(f"Service account {email} was not found.")
    text = (
        'The principal (user or service account) lacks IAM permission "iam.serviceAccounts.actAs" for the '
        f'resource "{email}" (or the resource may not exist).'
    )
    cloud.iam.require(principal, "iam.serviceAccounts.actAs", cloud.iam.accounts.name(email), text)


def _check_topic(cloud: Cloud, _principal: Principal, job: Message) -> None:
    target = job.pubsub_target
    job.ClearField("attempt_deadline")  # as documented, it is not for messages
    if not _TOPIC.fullmatch(target.topic_name):
        raise invalid(f"PubsubTarget.topic_name must look like projects/P/topics/T, not '{target.topic_name}'.")
    target.topic_name = cloud.canonical(target.topic_name)
    if not target.data and not target.attributes:
        raise invalid("PubsubTarget must have data, or at least one attribute.")


def _check_app_engine(cloud: Cloud, _principal: Principal, job: Message) -> None:
    target = job.app_engine_http_target
    _check_deadline(job, MAX_APP_ENGINE_DEADLINE)
    task = as_task(job)
    app_engine.check(task)
    made = app_engine.stored(task, app_engine.Application(cloud.settings))
    target.http_method, target.relative_uri = made.http_method, made.relative_uri
    target.app_engine_routing.host = made.app_engine_routing.host
    target.headers.clear()
    for key, value in made.headers.items():
        if key != "Content-Length":
            target.headers[key] = value


def _check_retries(config: Message) -> None:
    if not 0 <= config.retry_count <= MAX_RETRIES:
        raise invalid(f"RetryConfig.retry_count must be between 0 and {MAX_RETRIES}.")
    if config.max_doublings < 0:
        raise invalid("RetryConfig.max_doublings must not be negative.")
    defaults = {"max_retry_duration": 0, "min_backoff_duration": MIN_BACKOFF, "max_backoff_duration": MAX_BACKOFF}
    for field, seconds in defaults.items():
        duration = getattr(config, field)
        if not config.HasField(field):
            duration.FromSeconds(seconds)
        if duration.ToNanoseconds() < 0:
            raise invalid(f"RetryConfig.{field} must not be negative.")
    if config.min_backoff_duration.ToNanoseconds() > config.max_backoff_duration.ToNanoseconds():
        raise invalid("RetryConfig.min_backoff_duration must not be greater than max_backoff_duration.")
    config.max_doublings = config.max_doublings or MAX_DOUBLINGS
