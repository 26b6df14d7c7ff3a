"""App Engine Admin v1: the project's application, and of it only where it is.

`gcloud tasks` and `gcloud scheduler` take the application's region where no --location is given; without an answer
here they would ask the real service. Nothing can be deployed to it.
Source: https://cloud.google.com/appengine/docs/admin-api/reference/rest/v1/apps.
"""

from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.errors import not_found
from local_cloud.registry import Api, Call, HttpRequest

API = Api("appengine")

#: App Engine's names of its first regions have no number (https://cloud.google.com/appengine/docs/locations).
OLD_NAMES = {"us-central1": "us-central", "europe-west1": "europe-west"}


@API.route("GET", "/v1/apps/{app}")
async def get_app(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """The application."""
    cloud.iam.require(call.principal, "appengine.applications.get", f"projects/{cloud.project}")
    app = request.params["app"]
    if app != cloud.project:
        raise not_found(f"Could not find Application '{app}'.")
    return {
        "name": f"apps/{app}",
        "id": app,
        "locationId": OLD_NAMES.get(cloud.location, cloud.location),
        "servingStatus": "SERVING",
        "databaseType": "CLOUD_FIRESTORE",
    }
