"""Topics as specs: what is refused, what is warned of, who may call and which accounts there are."""

from __future__ import annotations

import pytest

from spec import load, names
from tests.spec.conftest import GCHOSTPAY, HOSTPAY_QUEUE, Project

FILE = "queue_configs/topics/news.yaml"
TOPIC = """\
# yaml-language-server: $schema=../schema/topic.json
from: [gcwebhook]
to: gchostpay
path: /news
message: News
ordered: true
"""


@pytest.fixture
def topics(project: Project) -> Project:
    """The real specs with a topic more."""
    project.replace(GCHOSTPAY, "  /confirm: ConfirmPayout", "  /confirm: ConfirmPayout\n  /news: News")
    project.write(FILE, TOPIC)
    return project


def test_a_topic_is_one_file(topics: Project) -> None:
    assert topics.findings() == ()
    topic = load(topics.root).topic("news")
    assert (topic.ack_deadline.google, topic.max_delivery_attempts) == ("60s", 5)
    assert (topic.retention.google, topic.dead_letters.retention.google) == ("604800s", "1209600s")


def test_pushes_come_from_an_account_of_the_topic_at_its_path_alone(topics: Project) -> None:
    system = load(topics.root)

    (caller,) = system.callers("gchostpay")["/news"]

    assert (caller.account_id, caller.why, caller.name) == ("news-push", "topic", "news")
    assert system.account_ids()["news-push"] == "pushes of news"
    assert [topic.name for topic in system.topics_out_of("gcwebhook")] == ["news"]
    assert [topic.name for topic in system.topics_into("gchostpay")] == ["news"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("ack_deadline: 9s", "ack_deadline"),
        ("ack_deadline: 601s", "ack_deadline"),
        ("ack_deadline: 10.5s", "ack_deadline"),
        ("max_delivery_attempts: 4", "max_delivery_attempts"),
        ("max_delivery_attempts: 101", "max_delivery_attempts"),
        ("retry: {max_backoff: 601s}", "retry.max_backoff"),
        ("retry: {min_backoff: 20s, max_backoff: 10s}", "retry.min_backoff"),
        ("retention: 9m", "retention"),
        ("retention: 32d", "retention"),
        ("dead_letters: {retention: 32d}", "dead_letters.retention"),
        ("attempts: 5", "attempts"),
    ],
)
def test_what_google_would_refuse_at_apply_is_refused_at_load(topics: Project, line: str, key: str) -> None:
    topics.write(FILE, TOPIC + line + "\n")

    found = topics.errors()[0]

    assert (found.key, str(found.where.file)) == (key, FILE)
    assert found.breaks
    assert found.fix


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("from: [gcwebhook]", "from: [gcwebhok]", "there is no service 'gcwebhok'"),
        ("from: [gcwebhook]", "from: [gcwebhook, gcwebhook]", "gcwebhook is listed twice"),
        ("to: gchostpay", "to: gchostpai", "there is no service 'gchostpai'"),
        ("path: /news", "path: /nws", "gchostpay handles nothing at /nws"),
        ("message: News", "message: Nws", "gchostpay handles News at /news, not Nws"),
        ("ordered: true", "ack_deadline: 30s", "a push waits 30s, but gchostpay may work for 40s"),
        ("ordered: true", "retention: 50m", "5 deliveries may take 55m, but messages are kept 50m"),
    ],
)
def test_a_topic_that_does_not_fit_the_rest_is_refused(topics: Project, old: str, new: str, what: str) -> None:
    topics.replace(FILE, old, new)

    assert topics.only_error().what == what


def test_a_door_takes_tasks_or_pushes_but_not_both(topics: Project) -> None:
    topics.replace(HOSTPAY_QUEUE, "path: /hostpay_webhook", "path: /news")
    topics.replace(HOSTPAY_QUEUE, "message: HostPayOrder", "message: News")

    assert [found.what for found in topics.errors()] == ["hostpay-execution-queue leads to /news too"]


def test_dead_letters_that_go_before_their_messages_are_warned_of(topics: Project) -> None:
    topics.write(FILE, TOPIC + "dead_letters: {retention: 1d}\n")

    assert topics.only_warning().what == "dead letters are kept 24h, living messages 7d"


def test_a_topic_with_the_name_of_anothers_dead_letters_is_refused(topics: Project) -> None:
    topics.replace(GCHOSTPAY, "  /news: News", "  /news: News\n  /more: News")
    topics.write("queue_configs/topics/news-dlq.yaml", TOPIC.replace("/news", "/more"))

    assert topics.only_error().what == "news-dlq is also the dead-letter topic of news"


@pytest.mark.parametrize("name", ["goog-news", "News", "news_of", "n" * 241])
def test_a_name_that_pubsub_refuses_is_refused(topics: Project, name: str) -> None:
    (topics.root / FILE).rename(topics.root / f"queue_configs/topics/{name}.yaml")

    assert f"{name!r} is no name for a topic" in {found.what for found in topics.errors()}


def test_derived_names_say_what_they_belong_to() -> None:
    assert names.dead_letter_topic("paynow-events") == "paynow-events-dlq"
    assert names.subscription("paynow-events") == "paynow-events-sub"
    assert names.subscription(names.dead_letter_topic("paynow-events")) == "paynow-events-dlq-sub"
    assert names.push_account_id("paynow-events") == "paynow-events-push"
    assert names.pubsub_agent("1") == "service-1@gcp-sa-pubsub.iam.gserviceaccount.com"
