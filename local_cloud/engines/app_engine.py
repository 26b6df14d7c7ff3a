"""App Engine tasks, and jobs of the Scheduler as such: their rules, the form in which they are kept, where they go.

There is no App Engine here: a task goes to the application that `--app-engine-host` (or APP_ENGINE_EMULATOR_HOST)
names, and its attempts fail with the reason where nothing is named. Sources: the v2 reference of AppEngineHttpRequest
and AppEngineRouting, and the record of the real service that aertje/cloud-tasks-emulator publishes (headers, hosts).
"""

import os
from urllib.parse import urlsplit

from local_cloud.descriptors import Message, enum
from local_cloud.engines.attempt import Target, encode_url
from local_cloud.engines.headers import check_headers
from local_cloud.errors import invalid
from local_cloud.settings import Settings

METHODS = enum("google.cloud.tasks.v2.HttpMethod")
METHOD_NAMES = {number: name for name, number in METHODS.items()}

#: Dispatch deadlines, and what 0 or none means: that of a standard app with automatic scaling.
MIN_DEADLINE, MAX_DEADLINE, DEFAULT_DEADLINE = 15.0, 24 * 3600.0 + 15, 600.0
#: The longest relative URI.
MAX_URI = 2083
#: What the application sees as the caller; a task's own User-Agent stands before it.
USER_AGENT = "AppEngine-Google; (+http://code.google.com/appengine)"
#: Methods that may carry a body.
WITH_BODY = frozenset({METHODS["POST"], METHODS["PUT"]})
#: The default Content-Type of a body.
CONTENT_TYPE = "application/octet-stream"
#: The environment variable that other emulators read.
VARIABLE = "APP_ENGINE_EMULATOR_HOST"

#: App Engine's two letters for its regions, as they stand in an application's host name.
REGION_IDS = {
    "us-central1": "uc",
    "us-east1": "ue",
    "us-east4": "uk",
    "us-west1": "uw",
    "us-west2": "wl",
    "us-west3": "wm",
    "us-west4": "wn",
    "northamerica-northeast1": "nn",
    "southamerica-east1": "rj",
    "europe-west1": "ew",
    "europe-west2": "nw",
    "europe-west3": "ey",
    "europe-west6": "oa",
    "europe-central2": "lm",
    "asia-east1": "de",
    "asia-east2": "df",
    "asia-northeast1": "an",
    "asia-northeast2": "dt",
    "asia-northeast3": "du",
    "asia-south1": "el",
    "asia-southeast1": "as",
    "asia-southeast2": "et",
    "australia-southeast1": "ts",
}


class Application:
    """The project's one application."""

    def __init__(self, settings: Settings) -> None:
        region = REGION_IDS.get(settings.location)
        self.domain = f"{settings.project}.{region}.r.appspot.com" if region else f"{settings.project}.appspot.com"
        place = (settings.app_engine_host or os.environ.get(VARIABLE, "")).rstrip("/")
        self.place = f"http://{place}" if place and "://" not in place else place

    def host(self, routing: Message) -> str:
        """The host that Google fills in: instance, version and service before the application's domain."""
        parts = (routing.instance, routing.version, routing.service, self.domain)
        return ".".join(part for part in parts if part)

    def fill(self, routing: Message) -> None:
        """Writes the output-only host."""
        routing.host = self.host(routing)

    def target(self, stored: Message, override: Message | None) -> Target:
        """What the dispatcher sends for a task now; the queue's routing stands for the task's."""
        request = stored.app_engine_http_request
        routing = override if override is not None else request.app_engine_routing
        uri = encode_url(request.relative_uri)
        nowhere, url = "", f"http://{self.host(routing)}{uri}"
        if self.place:
            names = {"service": routing.service or "default", "version": routing.version, "instance": routing.instance}
            base = self.place
            for name, value in names.items():
                base = base.replace(f"{{{name}}}", value)
            url = f"{base}{uri}"
        else:
            nowhere = (
                "the project has no App Engine application here. Start the local cloud with --app-engine-host URL (or "
                f"{VARIABLE}), where the application serves, or use http_request"
            )
        return Target(
            METHOD_NAMES[request.http_method],
            url,
            list(request.headers.items()),
            request.body,
            stored.dispatch_deadline.ToNanoseconds() / 1e9 or DEFAULT_DEADLINE,
            app_engine=True,
            nowhere=nowhere,
        )


def check(task: Message) -> None:
    """Refuses what the reference does not allow; only the deadline's words are known to be Google's."""
    request = task.app_engine_http_request
    uri: str = request.relative_uri
    if uri and not uri.startswith("/"):
        raise invalid("AppEngineHttpRequest.relativeUri must begin with '/'.")
    if any(c.isspace() for c in uri):
        raise invalid("AppEngineHttpRequest.relativeUri must not contain spaces.")
    if len(encode_url(uri)) > MAX_URI:
        raise invalid(f"AppEngineHttpRequest.relativeUri must be at most {MAX_URI} characters.")
    if uri.startswith("//") or urlsplit(f"http://h{uri}").fragment:
        raise invalid("AppEngineHttpRequest.relativeUri must be a path with an optional query.")
    if request.http_method not in METHOD_NAMES:
        raise invalid(f"AppEngineHttpRequest.httpMethod {request.http_method} is not known.")
    if request.body and (request.http_method or METHODS["POST"]) not in WITH_BODY:
        raise invalid("AppEngineHttpRequest.body is allowed only if the HTTP method is POST or PUT.")
    check_headers(request.headers, "AppEngineHttpRequest.headers")


def stored(task: Message, application: Application) -> Message:
    """The request as it is kept, with Google's defaults filled in."""
    kept = type(task.app_engine_http_request)()
    kept.CopyFrom(task.app_engine_http_request)
    kept.relative_uri = kept.relative_uri or "/"
    kept.http_method = kept.http_method or METHODS["POST"]
    application.fill(kept.app_engine_routing)
    given = {name.lower(): name for name in kept.headers}
    agent = kept.headers[given["user-agent"]] if "user-agent" in given else ""
    for name in ("user-agent", "content-length"):
        if name in given:
            del kept.headers[given[name]]
    kept.headers["User-Agent"] = f"{agent} {USER_AGENT}" if agent else USER_AGENT
    if kept.body:
        kept.headers["Content-Length"] = str(len(kept.body))
        if "content-type" not in given:
            kept.headers["Content-Type"] = CONTENT_TYPE
    return kept
