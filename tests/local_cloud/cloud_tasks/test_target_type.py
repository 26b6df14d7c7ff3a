"""Logs and metrics say of each task whether it goes to App Engine or to a URL."""

import datetime
from urllib.parse import quote

from local_cloud.cloud import Cloud
from tests.local_cloud.cloud_places import PARENT, PROJECT
from tests.local_cloud.conftest import Rest

QUEUE = f"{PARENT}/queues/kinds"


async def test_the_target_type_is_the_tasks_own(cloud: Cloud, rest: Rest) -> None:
    queue = {
        "name": QUEUE, "retryConfig": {"maxAttempts": 1}, "stackdriverLoggingConfig": {"samplingRatio": 1}
    }  # fmt: skip
    await rest.ok("POST", f"/v2/{PARENT}/queues", queue)
    here = f"http://127.0.0.1:{cloud.ports['rest']}/nothing-here"
    for task in ({"appEngineHttpRequest": {"relativeUri": "/a"}}, {"httpRequest": {"url": here}}):
        await rest.ok("POST", f"/v2/{QUEUE}/tasks", {"task": task})
    await cloud.clock.advance(180)
    asked = {"resourceNames": [f"projects/{PROJECT}"], "filter": 'resource.type="cloud_tasks_queue"'}
    entries = (await rest.ok("POST", "/v2/entries:list", asked))["entries"]
    seen = set()
    for entry in entries:
        for part in ("taskCreationLog", "attemptResponseLog"):
            if part in entry["jsonPayload"]:
                said = entry["jsonPayload"][part]["targetType"]
                assert said == entry["resource"]["labels"]["target_type"]
                seen.add((part, said))
    assert len(seen) == 4
    end = datetime.datetime.fromtimestamp(cloud.now(), datetime.UTC)
    start = end - datetime.timedelta(hours=1)
    for metric in ("task_attempt_count", "task_attempt_delays"):
        wanted = quote(f'metric.type="cloudtasks.googleapis.com/queue/{metric}"')
        interval = f"interval.startTime={start:%Y-%m-%dT%H:%M:%SZ}&interval.endTime={end:%Y-%m-%dT%H:%M:%SZ}"
        found = await rest.ok("GET", f"/v3/projects/{PROJECT}/timeSeries?filter={wanted}&{interval}")
        kinds = {series["resource"]["labels"]["target_type"] for series in found["timeSeries"]}
        assert kinds == {"APP_ENGINE", "HTTP"}
