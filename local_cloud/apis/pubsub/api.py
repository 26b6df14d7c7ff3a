"""The API's declaration, which the modules with handlers share, and its start on the core (local_cloud/pubsub/)."""

from functools import partial

from local_cloud.cloud import Cloud
from local_cloud.pubsub.log import Log
from local_cloud.pubsub.state import PubSub
from local_cloud.pubsub.words import DENIED
from local_cloud.registry import Api

API = Api(
    "pubsub",
    services=["google.pubsub.v1.Publisher", "google.pubsub.v1.Subscriber", "google.pubsub.v1.SchemaService"],
    refusal=DENIED,
    checks_names=False,
)


@API.on_start
async def start(cloud: Cloud) -> None:
    """Loads topics, subscriptions and their messages."""
    log = Log(
        cloud.settings.state / "pubsub", cloud.store.on_failure or cloud.on_failure, partial(cloud.log.event, "WARNING")
    )
    cloud.store.join(log)
    pubsub = PubSub(cloud, log)
    cloud.provide(pubsub)
    pubsub.load()


@API.on_stop
async def stop(cloud: Cloud) -> None:
    """Writes what is left; what is outstanding goes out again after the next start."""
    await cloud.use(PubSub).close()
