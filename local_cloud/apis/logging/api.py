"""The API's declaration, which the modules with handlers share."""

from local_cloud.registry import Api

API = Api(
    "logging",
    services=[
        "google.logging.v2.LoggingServiceV2",
        "google.logging.v2.MetricsServiceV2",
        "google.logging.v2.ConfigServiceV2",
    ],
)
