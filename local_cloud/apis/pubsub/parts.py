"""What stands around the core, made when it is loaded: pushes, dead letters, expiry, snapshots, schemas, metrics."""

from local_cloud.apis.pubsub import subscriptions
from local_cloud.apis.pubsub.api import API
from local_cloud.apis.pubsub.metrics import Counts
from local_cloud.cloud import Cloud
from local_cloud.pubsub.dead_letters import DeadLetters
from local_cloud.pubsub.expiry import Expiry
from local_cloud.pubsub.push import Pushes
from local_cloud.pubsub.schema_store import Schemas
from local_cloud.pubsub.snapshots import Snapshots
from local_cloud.pubsub.state import PubSub


@API.on_start
async def start(cloud: Cloud) -> None:
    """Pushes come last: they deliver at once."""
    pubsub = cloud.use(PubSub)
    schemas = Schemas(cloud, pubsub)
    snapshots = Snapshots(cloud, pubsub)
    pushes = Pushes(cloud, pubsub)
    expiry = Expiry(cloud, pubsub, pushes, lambda name: subscriptions.delete(cloud, name))
    counts = Counts(cloud, pubsub, pushes)
    for part in (schemas, snapshots, expiry, pushes, counts):
        cloud.provide(part)
    pubsub.validate = schemas.validate
    pubsub.dead_letter = dead_letters = DeadLetters(cloud)
    dead_letters.failed = counts.not_dead_lettered
    snapshots.start()
    expiry.start()
    pushes.start()


@API.on_stop
async def stop(cloud: Cloud) -> None:
    """Before the core: nothing is pushed any more."""
    cloud.use(Pushes).stop()
