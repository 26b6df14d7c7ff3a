"""The descriptors have what Google's current clients have; what differs is listed here, by name."""

import importlib
from typing import Any

import pytest

from local_cloud.descriptors import message, methods, pool
from local_cloud.descriptors.build import SOURCES

#: Messages of the newer clients that the published protos do not have; nothing here needs them.
KNOWN_GAPS = {
    "google.cloud.secretmanager_v1": {"google.cloud.secretmanager.v1.CloudSqlSingleUserCredentials"},
    "google.pubsub_v1": {
        "google.pubsub.v1.BigtableConfig.ColumnFamilyMapping",
        "google.pubsub.v1.BigtableConfig.column_family_mapping",
        "google.pubsub.v1.CompiledProtoSchema",
        "google.pubsub.v1.Compression",
        "google.pubsub.v1.MessageTransform.compression",
        "google.pubsub.v1.PubsubClientTelemetry",
        "google.pubsub.v1.Schema.compiled_proto_schema",
    },
}


def gaps(module: str) -> set[str]:
    types = importlib.import_module(f"{module}.types")
    missing: set[str] = set()

    def compare(theirs: Any) -> None:
        try:
            ours = pool().FindMessageTypeByName(theirs.full_name)
        except KeyError:
            missing.add(theirs.full_name)
            return
        missing.update(f"{theirs.full_name}.{f.name}" for f in theirs.fields if f.number not in ours.fields_by_number)
        for nested in theirs.nested_types:
            compare(nested)

    for name in dir(types):
        found = getattr(types, name)
        if hasattr(found, "pb"):
            compare(found.pb(found()).DESCRIPTOR)
    return missing


@pytest.mark.parametrize(
    "module",
    [
        "google.cloud.tasks_v2",
        "google.cloud.run_v2",
        "google.cloud.secretmanager_v1",
        "google.cloud.monitoring_v3",
        "google.cloud.logging_v2",
        "google.pubsub_v1",
        "google.cloud.scheduler_v1",
        "google.cloud.monitoring_dashboard_v1",
        "google.cloud.artifactregistry_v1",
    ],
)
def test_every_field_of_the_current_client_is_known(module: str) -> None:
    assert gaps(module) == KNOWN_GAPS.get(module, set())


def test_every_method_of_the_current_tasks_client_is_known() -> None:
    from google.cloud.tasks_v2.services.cloud_tasks.transports.grpc import CloudTasksGrpcTransport

    names = {name for name in vars(CloudTasksGrpcTransport) if not name.startswith("_")}
    declared = methods("google.cloud.tasks.v2.CloudTasks")
    ours = {"".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_") for name in declared}
    others = {"create_channel", "grpc_channel", "operations_client", "close", "kind"}
    others |= {"get_operation", "get_location", "list_locations"}
    assert names - others <= ours


def test_overlaid_fields_work() -> None:
    task = message("google.cloud.tasks.v2.Task")()
    task.retry_config.max_attempts = 3
    queue = message("google.cloud.tasks.v2.Queue")()
    queue.http_target.uri_override.host = "example.com"
    assert queue.http_target.uri_override.HasField("host")


def test_the_sources_are_named_once() -> None:
    assert len(SOURCES) == len(set(SOURCES))
