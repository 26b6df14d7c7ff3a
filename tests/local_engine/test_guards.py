"""The explicit word in the engine: nothing guarded is lost without it, and the refusal says which line to write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pulumi
import pulumi_gcp as gcp
import pytest

from components.site import Site
from components.task_queue import TaskQueue, TaskQueueConfig
from local_engine import Op, Result, compare
from local_engine.guards import KINDS
from spec import TaskQueue as TaskQueueSpec
from spec import load
from spec.unprotect import GUARDED
from tests.local_engine.conftest import Engine
from tests.local_engine.standin import StandIn

ROOT = Path(__file__).parents[2]
QUEUE: TaskQueueSpec = load(ROOT).queues["gcsplit2-queue"]
WORD = f"tasks/{QUEUE.name}"


def queue(*words: str, region: str = "us-central1") -> Callable[[], None]:
    site = Site(project="rec", region=region, env="prod", protect=True, unprotect=frozenset(words))
    config = TaskQueueConfig(site=site, spec=QUEUE, creator_role="projects/rec/roles/creator", senders={})
    return lambda: void(TaskQueue(QUEUE.name, config))


def nothing() -> None:
    """A program from which the queue's file was deleted."""


def void(_: object) -> None:
    """A program returns nothing."""


def standing(cloud: StandIn) -> list[str]:
    return sorted(name for name in cloud.things if "/queues/" in name)


def refused(result: Result) -> str:
    assert not result.ok
    assert result.writes == 0
    return "\n".join(map(str, result.problems))


def test_a_deleted_spec_deletes_no_queue_and_the_refusal_says_which_line_would(engine: Engine, cloud: StandIn) -> None:
    assert engine(queue()).ok
    for mode in ("preview", "up"):
        said = refused(engine(nothing, mode))
        assert "Google refuses its name for days" in said
        assert f"write `sluice:unprotect: [{WORD}]` in stacks/Pulumi.local.yaml" in said
    assert len(standing(cloud)) == 1


def test_the_word_unprotects_and_then_the_queue_may_go(engine: Engine, cloud: StandIn) -> None:
    engine(queue())
    given = engine(queue(WORD))
    assert (given.ok, given.writes, len(standing(cloud))) == (True, 0, 1)
    gone = engine(nothing)
    assert gone.ok, gone.problems
    assert gone.counts == {"delete": 2}
    assert standing(cloud) == []


def test_a_word_taken_back_guards_again(engine: Engine) -> None:
    for words in ((), (WORD,), ()):
        assert engine(queue(*words)).ok
    assert "is protected and would be deleted" in refused(engine(nothing))


def test_a_word_for_another_queue_does_not_help(engine: Engine) -> None:
    engine(queue())
    engine(queue("tasks/another-queue"))
    assert WORD in refused(engine(nothing))


def test_a_guarded_queue_is_not_replaced(engine: Engine, cloud: StandIn) -> None:
    engine(queue())
    for mode in ("preview", "up"):
        said = refused(engine(queue(region="europe-west1"), mode))
        assert "would be replaced since location changes" in said
        assert f"write `sluice:unprotect: [{WORD}]`" in said
    assert "us-central1" in standing(cloud)[0]


def test_a_word_before_the_change_replaces_the_queue(engine: Engine, cloud: StandIn) -> None:
    engine(queue())
    engine(queue(WORD))
    assert engine(queue(WORD, region="europe-west1")).ok
    (left,) = standing(cloud)
    assert "europe-west1" in left


def test_a_word_in_the_same_apply_as_the_change_lets_the_old_queue_stand(engine: Engine, cloud: StandIn) -> None:
    """As Pulumi does: what was retained when the apply began is let go and not deleted."""
    engine(queue())
    assert engine(queue(WORD, region="europe-west1")).ok
    assert len(standing(cloud)) == 2
    assert not engine(queue(WORD, region="europe-west1")).changed


class Kept(pulumi.ComponentResource):
    """A component as the program's own, with one thing in it."""

    def __init__(self, kind: str, name: str, site: Site, word: str) -> None:
        super().__init__(f"sluice:components:{kind}", name)
        gcp.pubsub.Topic(name, name=name, opts=site.guarded(self, word))


@pytest.mark.parametrize(
    ("kind", "word"), [("Secret", "secrets/A_KEY"), ("Database", "database"), ("Topic", "topics/A_KEY")]
)
def test_secret_database_and_topic_have_words_of_their_own(
    engine: Engine, cloud: StandIn, kind: str, word: str
) -> None:
    def program(*words: str) -> None:
        site = Site(project="rec", region="us-central1", env="prod", protect=True, unprotect=frozenset(words))
        Kept(kind, "A_KEY", site, word)

    assert engine(program).ok
    said = refused(engine(nothing))
    assert f"`sluice:unprotect: [{word}]`" in said
    assert GUARDED[word.partition("/")[0]].loses in said
    assert engine(lambda: program(word)).ok
    assert engine(nothing).ok
    assert cloud.things == {}


def since(engine: Engine, before: Callable[[], None], after: Callable[[], None]) -> Result:
    """What `preview --since` says, with no state and no cloud."""
    plans = [engine(program, "preview", state_dir=None, offline=True, stack="prod") for program in (before, after)]
    return compare(json.loads(json.dumps(plans[0].as_json())), plans[1], "HEAD~1")


def test_a_pull_request_that_would_be_refused_is_told_so_before_it_is_merged(engine: Engine) -> None:
    for after, fate in ((nothing, "deleted"), (queue(region="europe-west1"), "replaced since location changes")):
        said = refused(since(engine, queue(), after))
        assert f"is protected and would be {fate}" in said
        assert f"write `sluice:unprotect: [{WORD}]` in stacks/Pulumi.prod.yaml" in said


def test_a_pull_request_shows_that_a_guard_is_taken_away(engine: Engine) -> None:
    told = since(engine, queue(), queue(WORD))
    assert told.ok
    (step,) = [step for step in told.steps if step.op is Op.UPDATE]
    assert (step.name, [(c.path, c.old, c.new) for c in step.changes]) == (QUEUE.name, [("protect", True, False)])
    assert since(engine, queue(WORD), nothing).ok


def test_every_component_that_guards_a_thing_has_its_word() -> None:
    assert set(KINDS.values()) == set(GUARDED)
    guarding = {
        path.stem
        for path in (ROOT / "components").glob("*.py")
        if re.search(r"site\.(guarded|guards)\(", path.read_text())
    }
    assert guarding - {"site"} >= {"task_queue", "topic", "run_service", "secret", "database"}


def test_what_has_no_word_is_told_of_its_option(engine: Engine) -> None:
    guarded = pulumi.ResourceOptions(protect=True)
    engine(lambda: void(gcp.pubsub.Topic("t", name="t", opts=guarded)))
    assert "apply it once with protect=False" in refused(engine(nothing))
