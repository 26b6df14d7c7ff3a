"""What a cloud that is started by itself has from its first moment: the queues that were asked for,
beside those that its state holds."""

from local_cloud.apis.cloud_tasks.state import State
from local_cloud.cloud import Cloud
from local_cloud.descriptors import methods
from local_cloud.errors import ApiError
from local_cloud.registry import Door
from local_cloud.server import calls

SERVICE = "google.cloud.tasks.v2.CloudTasks"


class QueueError(Exception):
    """A queue that was asked for cannot be made; the message has the service's words."""


async def make_queues(cloud: Cloud) -> dict[str, list[str]]:
    """Makes the queues that are missing, with Google's defaults, as a client would; says which there are."""
    made: list[str] = []
    method = methods(SERVICE)["CreateQueue"]
    binding = next(api.rpcs[method.path] for api in cloud.apis if method.path in api.rpcs)
    for name in dict.fromkeys(cloud.settings.queue_names):
        request = method.request(parent=name.rpartition("/queues/")[0], queue={"name": name})
        try:
            await calls.invoke(cloud, Door.OWNER, binding, request, {})
        except ApiError as error:
            if error.code != "ALREADY_EXISTS":
                raise QueueError(f"--queue {name}: {error.text}") from error
        else:
            made.append(name)
    return {"made": made, "kept": [name for name in cloud.use(State).dispatcher.queues if name not in made]}
