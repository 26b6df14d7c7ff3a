"""What Cloud Tasks keeps, and how it starts on it.

Owns the collections of queue configurations and deleted names, the dispatcher's journal, and the seams between the
dispatcher and the cloud (clock, client, tokens). Leaves alone: what callers may do with them (queues, tasks).
"""

from collections.abc import Callable

from local_cloud.apis.cloud_tasks import queue_rules, watch
from local_cloud.apis.cloud_tasks.api import API
from local_cloud.apis.cloud_tasks.knobs import Knobs
from local_cloud.apis.cloud_tasks.names import lacks, no_queue, parent_of
from local_cloud.apis.cloud_tasks.targets import Targets, Tokens, retry_of
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum
from local_cloud.engines.app_engine import Application
from local_cloud.engines.dispatcher import Dispatcher
from local_cloud.engines.journal import StoreJournal
from local_cloud.engines.outgoing import Client
from local_cloud.engines.queues import Queue
from local_cloud.registry import Call

STATES = enum("google.cloud.tasks.v2.Queue.State")

#: A deleted queue's name is refused for 7 days (DeleteQueue reference).
QUEUE_NAME_KEPT = 7 * 24 * 3600.0


class State:
    """The API's state; `cloud.use(State)` gives it to handlers."""

    def __init__(self, cloud: Cloud) -> None:
        self.configs = cloud.store.messages("cloudtasks.queues", "google.cloud.tasks.v2.Queue")
        self.home = f"projects/{cloud.project}/locations/{cloud.location}"
        self.deleted = cloud.store.json("cloudtasks.deleted_queues")
        self.journal = StoreJournal(cloud.store, cloud.now)
        self.client = Client()
        self.application = Application(cloud.settings)
        self.watch = watch.Watch(cloud)
        self.dispatcher = Dispatcher(
            clock=cloud.clock,
            journal=self.journal,
            client=self.client,
            watcher=self.watch,
            target_of=Targets(self.application),
            authorize=Tokens(cloud),
        )
        self.watch.metrics.queues = self.dispatcher.queues

    def load(self) -> None:
        """Takes up every queue with its tasks where the last run left them."""
        self.journal.sweep()
        for config in self.configs.values():
            tasks = self.journal.tasks(config.name)
            for task in tasks:
                task.retry = retry_of(task.spec)
            self.open(config, tasks=tasks)

    def open(self, config: Message, **more: object) -> Queue:
        """Gives the dispatcher a queue."""
        opened: Callable[..., Queue] = self.dispatcher.open
        return opened(config.name, queue_rules.limits(config), config, paused=config.state != STATES["RUNNING"], **more)

    def queue(self, cloud: Cloud, name: str) -> Queue:
        """The queue of that name; NOT_FOUND in the service's words."""
        found = self.dispatcher.queues.get(cloud.canonical(name))
        if found is None:
            raise no_queue()
        return found

    def status(self) -> dict[str, object]:
        """For /_sluice/status: every queue by its id (by its full name outside the home location)."""
        return {
            queue.id if parent_of(queue.name) == self.home else queue.name: {
                "state": "PAUSED" if queue.paused else "RUNNING",
                "depth": len(queue.tasks),
                "running": queue.running,
                **{name: self.watch.counts[queue.name][name] for name in ("attempts", "succeeded", "dropped")},
            }
            for queue in self.dispatcher.queues.values()
        }


def act_as(cloud: Cloud, call: Call, email: str) -> None:
    """Whoever makes tasks carry an account's token must be allowed to act as it."""
    permission = "iam.serviceAccounts.actAs"
    cloud.iam.require(call.principal, permission, cloud.iam.accounts.name(email), lacks(permission, email))


def may_route(cloud: Cloud, call: Call) -> None:
    """Whoever names App Engine services must be allowed to see the application (AppEngineRouting reference)."""
    permission, resource = "appengine.applications.get", f"projects/{cloud.project}"
    cloud.iam.require(call.principal, permission, resource, lacks(permission, resource))


@API.on_start
async def start(cloud: Cloud) -> None:
    """Loads the state; what is due goes out at once."""
    state = State(cloud)
    cloud.provide(state)
    cloud.status["queues"] = state.status
    knobs = Knobs(cloud, state.dispatcher)
    cloud.provide(knobs)
    knobs.load()
    state.load()


@API.on_stop
async def stop(cloud: Cloud) -> None:
    """Lets go of the connections; attempts that run are repeated after the next start."""
    cloud.use(State).client.close()
