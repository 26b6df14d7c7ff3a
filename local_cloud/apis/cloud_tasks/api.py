"""The API's declaration, which the modules with handlers share."""

from local_cloud.registry import Api

API = Api("cloudtasks", services=["google.cloud.tasks.v2.CloudTasks"])
