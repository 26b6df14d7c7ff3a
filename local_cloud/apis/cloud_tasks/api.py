"""The API's declaration, which the modules with handlers share."""

from local_cloud.registry import Api

API = Api(
    "cloudtasks",
    services=["google.cloud.tasks.v2.CloudTasks"],
    refusal='The principal (user or service account) lacks IAM permission "{permission}" for the resource "{resource}" '
    "(or the resource may not exist).",
)
