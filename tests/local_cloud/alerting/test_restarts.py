"""What a restart does to alerts: minutes that nobody looked at are made up, and no notification goes out twice."""

import struct
import threading
from pathlib import Path

import pytest

from local_cloud.cloud import Cloud
from tests.fidelity import pins
from tests.local_cloud.alerting.alerts_client import NAME, above, alerts_at, each, limited, logged, series
from tests.local_cloud.cloud_places import inside
from tests.local_cloud.cloud_tasks.tasks_target import advance, call, listening

TOPIC = f"{NAME}/topics/beats"
SENT = series("pubsub.googleapis.com/topic/send_request_count", "pubsub_topic", topic_id="beats")


@pins(
    "alerting",
    "Incidents",
    "What violated in the minutes around a restart is judged after it, for a day at most",
    ours="the time in which the cloud is down is time without data",
)
@pytest.mark.parametrize(("down", "fires"), [(90, True), (3 * 86_400, False)])
def test_minutes_around_a_restart_are_judged(tmp_path: Path, down: float, *, fires: bool) -> None:
    state = tmp_path / "state"
    with inside(state) as place, alerts_at(place) as alerts:
        call(place, "PUT", f"/v1/{TOPIC}", {})
        alerts.policy("sent", above(SENT, 0, each("SUM")))
        advance(place, 300)
        now = place.do(_now)
        advance(place, 61 - now % 60)  # the machine's own time must not end the minute before the stop
        call(place, "POST", f"/v1/{TOPIC}:publish", {"messages": [{"data": "eA=="}]})
        assert alerts.fired() == set()
    clock = state / "clock"
    [offset] = struct.unpack("<d", clock.read_bytes())
    clock.write_bytes(struct.pack("<d", offset + down))
    with inside(state) as place, alerts_at(place) as alerts:
        advance(place, 300)
        assert alerts.fired() == ({"sent"} if fires else set())


async def _now(cloud: Cloud) -> float:
    return cloud.now()


@pins(
    "alerting",
    "Notifications",
    "A notification that is on its way while a start takes up what was kept is sent once",
    ours=True,
)
def test_a_notification_made_right_after_a_start_is_sent_once(tmp_path: Path) -> None:
    gate = threading.Event()
    state = tmp_path / "state"
    with listening(gate.wait) as target:
        with inside(state) as place, alerts_at(place) as alerts:
            hook = alerts.hook("webhook_tokenauth", url=f"{target.url}/early")
            condition = logged('textPayload:"boom"')
            alerts.policy("early", condition, notification_channels=[hook], alert_strategy=limited())
        with inside(state) as place:
            entry = {"logName": f"{NAME}/logs/early", "textPayload": "boom", "resource": {"type": "global"}}
            call(place, "POST", "/v2/entries:write", {"entries": [entry]})
            target.wait(1)
            place.do(lambda cloud: cloud.clock.advance(5, wait=0.05))
            gate.set()
            assert place.do(lambda cloud: cloud.clock.settle())
        assert [path for path, _, _ in target.seen] == ["/early"]
