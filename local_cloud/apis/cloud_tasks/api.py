"""The API's declaration, which the modules with handlers share."""

from local_cloud.apis.cloud_tasks.names import lacks
from local_cloud.registry import Api

API = Api(
    "cloudtasks",
    services=["google.cloud.tasks.v2.CloudTasks"],
    refusal=lacks("{permission}", "{resource}"),
    checks_names=False,
    longest_call=30.0,  # as the real service words it: see server/grpc_door.py
)
