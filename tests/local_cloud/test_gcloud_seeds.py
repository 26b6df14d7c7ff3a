"""The documents' own gcloud commands, word for word, against a fresh local cloud, with the corrections of DECISIONS 22.

gcloud_seeds.yaml is the list: what each command says, where it stands, what is filled in, what the design does instead.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_cloud.pubsub.state import PubSub
from tests.local_cloud import gcloud as real
from tests.local_cloud.cloud_places import PROJECT, inside
from tests.local_cloud.cloud_tasks.tasks_target import idle
from tests.local_cloud.gcloud import Gcloud
from tests.local_cloud.run_client import NUMBER, Runner, runner

LIST = Path(__file__).with_name("gcloud_seeds.yaml")
SEEDS = Path(__file__).parents[3] / "shared" / "seeds"
#: What the documents have already: services of before the queues, and images that their build steps push.
SERVICES = {"gcwebhook10-16", "gcsplit10-21", "gchostpay10-21"}
TAGS = ("v1-previous", "v1-pre-cloudtasks", "v2-cloudtasks")

Entry = Mapping[str, Any]


@cache
def entries() -> list[Entry]:
    found: list[Entry] = yaml.safe_load(LIST.read_text())
    return found


def words(text: str, fill: Mapping[str, str]) -> tuple[list[str], str]:
    """A command's words after `gcloud` with everything filled in, and what its `| grep` looks for."""
    for name, value in {**fill, "PROJECT_ID": PROJECT, "PROJECT_NUMBER": NUMBER}.items():
        text = text.replace(name, value) if name.startswith(("<", "$")) else re.sub(rf"\b{name}\b", value, text)
    command, _, grep = text.partition(" | grep ")
    return shlex.split(command)[1:], grep


def run_one(gcloud: Gcloud, entry: Entry, fill: Mapping[str, str]) -> None:
    for before in entry.get("before", ()):
        gcloud.ok(*words(before, fill)[0])
    if "CHANNEL_ID" in entry["said"]:
        fill = {**fill, "CHANNEL_ID": channel(gcloud)}
    command, grep = words(entry.get("corrected", entry["said"]), fill)
    done = gcloud.ok(*command)
    assert grep in done.out
    for shown in entry.get("shows", ()):
        assert shown.replace("PROJECT_ID", PROJECT) in done.out + done.err, f"{command}\n{done}"


def channel(gcloud: Gcloud) -> str:
    """A notification channel, which the document takes for granted."""
    monitoring = ("beta", "monitoring", "channels")
    gcloud.ok(*monitoring, "create", "--display-name=ops", "--type=email", "--channel-labels=email_address=a@b.c")
    [made] = gcloud.json(*monitoring, "list")
    return str(made["name"])


def run_all(gcloud: Gcloud, sections: Sequence[str], known: Mapping[str, str] | None = None) -> None:
    """The commands of some sections in their order, then what the design does besides."""
    of = [entry for section in sections for entry in entries() if entry["from"] == section and "absent" not in entry]
    for entry in of:
        [(name, values)] = entry.get("each", {"": [""]}).items()
        for value in values:
            run_one(gcloud, entry, {**(known or {}), **entry.get("fill", {}), **({name: value} if name else {})})
    for entry in of:
        for command in entry.get("design", ()):
            gcloud.ok(*words(command, entry.get("fill", {}))[0])


@contextmanager
def fresh(folder: Path) -> Iterator[tuple[Runner, Gcloud]]:
    """A cloud that has nothing but the documents' images, and a gcloud at it."""
    with inside(folder / "cloud") as place, runner(place, folder / "image") as run:
        for name in sorted(SERVICES):
            for tag in TAGS:
                image = f"gcr.io/{PROJECT}/{name}:{tag}"
                run.register(image, str(folder / "image"), "tiny_app:main", ("uvicorn", "tiny_app"))
        with real.session(place.rest, folder / "gcloud") as gcloud:
            yield run, gcloud


@pytest.mark.gcloud
@pytest.mark.skipif(real.root() is None, reason="the gcloud command is not installed")
def test_queues_of_the_documents_are_made_by_their_own_commands(tmp_path: Path) -> None:
    with fresh(tmp_path) as (_, gcloud):
        run_all(gcloud, ["000 section 6", "001 section 7"])
        queues = {
            each["name"].rpartition("/")[2]: each
            for each in gcloud.json("tasks", "queues", "list", "--location=us-central1")
        }
    retry = {name: queue["retryConfig"] for name, queue in queues.items()}
    rate = {name: queue["rateLimits"]["maxDispatchesPerSecond"] for name, queue in queues.items()}
    assert len(queues) == 7
    assert retry["hostpay-execution-queue"]["maxRetryDuration"] == "60s"
    assert retry["hostpay-execution-queue"]["maxAttempts"] == 3
    assert retry["registration-processing-queue"]["maxBackoff"] == "3600s"
    fixed = {"maxAttempts": -1, "maxRetryDuration": "86400s", "minBackoff": "60s", "maxBackoff": "60s"}
    assert fixed.items() <= retry["gchostpay-status-check-queue"].items()
    assert (rate["gchostpay-status-check-queue"], rate["gchostpay-payment-execute-queue"]) == (10, 5)


@pytest.mark.gcloud
@pytest.mark.skipif(real.root() is None, reason="the gcloud command is not installed")
def test_services_and_accounts_of_the_documents_are_deployed_watched_and_rolled_back(tmp_path: Path) -> None:
    with fresh(tmp_path) as (run, gcloud):
        for name in sorted(SERVICES):
            run.create(name, public=False)
        run_all(gcloud, ["001 section 7", "000 section 10", "000 section 11", "000 section 13", "000 section 15"])
        service = gcloud.json("run", "services", "describe", "gcwebhook10-16")
        [container] = service["spec"]["template"]["spec"]["containers"]
        project = gcloud.json("projects", "get-iam-policy", PROJECT)
        words_of = ("tasks", "queues", "get-iam-policy", "split-payment-queue", "--location=us-central1")
        [binding] = gcloud.json(*words_of)["bindings"]
        accounts = {each["email"].partition("@")[0] for each in gcloud.json("iam", "service-accounts", "list")}
    assert {"gcwebhook-sa", "gcsplit-sa", "gchostpay-sa"} <= accounts
    assert {"name": "USE_CLOUD_TASKS", "value": "false"} in container["env"]
    assert container["image"].endswith("gcwebhook10-16:v1-pre-cloudtasks")
    account = f"gcwebhook-sa@{PROJECT}.iam.gserviceaccount.com"
    assert service["spec"]["template"]["spec"]["serviceAccountName"] == account
    assert "roles/cloudtasks.enqueuer" not in {each["role"] for each in project.get("bindings", ())}
    assert binding == {"members": [f"serviceAccount:{account}"], "role": "roles/cloudtasks.enqueuer"}


@pytest.mark.gcloud
@pytest.mark.skipif(real.root() is None, reason="the gcloud command is not installed")
def test_paynow_queue_of_the_documents_delivers_and_is_rolled_back(tmp_path: Path) -> None:
    with fresh(tmp_path) as (run, gcloud):
        run.create("siraj")
        worker = f"gcr.io/{PROJECT}/paynow-worker:v1"
        run.register(worker, str(tmp_path / "image"), "tiny_app:main", ("uvicorn", "tiny_app"))
        known = {"$WORKER_URL": f"{run.place.rest}/run/paynow-worker-{NUMBER}.us-central1"}
        run_all(gcloud, [f"003 section {number}" for number in (1, 2, 3, 4)], known)
        made = gcloud.json("pubsub", "subscriptions", "describe", "paynow-events-sub")
        gcloud.ok("pubsub", "topics", "publish", "paynow-events", "--message={}", "--ordering-key=user")
        idle(run.place)
        assert run.place.cloud is not None
        left = run.place.cloud.use(PubSub).backlogs[made["name"]].stats().undelivered
        run_all(gcloud, ["003 New Log-based Metrics", "003 Immediate Rollback (Zero Downtime)"])
        run_all(gcloud, ["003 Queue Cleanup (Post-Rollback)"])
        siraj = gcloud.json("run", "services", "describe", "siraj")
    assert left == 0, "the worker has taken it"
    assert (made["ackDeadlineSeconds"], made["enableMessageOrdering"]) == (600, True)
    assert made["deadLetterPolicy"]["maxDeliveryAttempts"] == 5
    assert made["pushConfig"]["oidcToken"]["serviceAccountEmail"].startswith("pubsub-push@")
    assert {"name": "WEBHOOK_MODE", "value": "sync"} in siraj["spec"]["template"]["spec"]["containers"][0]["env"]


def commands_of(document: str) -> list[tuple[str, str]]:
    """Each gcloud command of a document with its section, its lines joined."""
    [path] = SEEDS.glob(f"{document}_*.txt")
    lines, section, found = iter(path.read_text().split("\n")), "", []
    ruled = False
    for line in lines:
        heading = re.match(r"#{2,3} (?:(\d+)\. )?(.+)", line)
        title = re.match(r"(\d+)\. [A-Z]{2}", line)
        if heading:
            section = f"section {heading[1]}" if heading[1] else heading[2]
        elif title and ruled:
            section = f"section {title[1]}"
        ruled = line.startswith("====")
        at = line.find("gcloud ")
        if at >= 0:
            command = line[at:].strip()
            while command.endswith("\\"):
                command = f"{command[:-1].strip()} {next(lines).strip()}"
            if line[:at].endswith("$("):
                command = command.removesuffix(")")
            found.append((f"{document} {section}", command))
    return found


def test_list_of_commands_is_the_documents_own() -> None:
    if not SEEDS.is_dir():
        pytest.skip(f"the documents are not at {SEEDS}")
    said = [(entry["from"], entry["said"]) for entry in entries()]
    assert said == [command for document in ("000", "001", "003") for command in commands_of(document)]


def test_commands_that_are_not_run_say_why_and_where_they_belong() -> None:
    absent = [entry for entry in entries() if "absent" in entry]
    assert all(entry["absent"] and isinstance(entry["issue"], int) for entry in absent)
    assert all(entry.get("why") for entry in entries() if "design" in entry or "corrected" in entry)
