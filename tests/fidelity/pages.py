"""The pages of docs/fidelity/: their sections, the APIs whose methods they list, and what is left out on purpose.

A new behaviour needs no edit here, it is a `pins` on its test; a new API is listed on the page `plain` until a page
claims it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Page:
    """One area. `apis` are modules of local_cloud/apis; `rest` also lists those that no page claims."""

    title: str
    about: str
    sections: tuple[str, ...]
    apis: tuple[str, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    rest: bool = False


INDEX = """# Fidelity: what the local cloud does as Google does, and what not

One page an area, one line a behaviour, each with the test that pins it; then every method of Google's, emulated or not.
The pages are made from the tests and the code: `python -m tests.fidelity` writes them, and the suite fails when they
are not current.

{pages}

What differs by design everywhere: state is on one machine's disk; nothing costs money; the project's owner is above
policies at the doors for people; Postgres trusts loopback, so a service's database login is proved by nothing; images
are folders registered for a digest, run as processes, or were pushed and run in namespaces on the machine's network.
"""

PAGES: dict[str, Page] = {
    "cloud_tasks": Page(
        "Cloud Tasks v2",
        "queues, tasks, the retry law, dispatch, limits",
        ("Queues", "Tasks", "Dispatch", "App Engine", "Logs and metrics"),
        apis=("cloud_tasks", "app_engine"),
        absent={},
    ),
    "run": Page(
        "Cloud Run",
        "services, revisions and jobs, traffic and tags, the front door, instances",
        ("Services and revisions", "Jobs", "The front door", "Instances", "The v1 surface and gcloud", "Metrics"),
        apis=("run", "run_jobs", "run_executions"),
        absent={
            "Worker pools, instances, builds": "nothing of the system uses them: UNIMPLEMENTED by name",
            "HTTP/2 to an instance (port name h2c)": "kept; an instance gets HTTP/1.1, and gRPC for its health alone",
            "A revision's further conditions (ContainerHealthy, ResourcesAvailable) and its log_uri": "Ready alone is "
            "told, with the reason where it is not",
            "The image of a job at CreateJob": "it is looked for when the job runs, since it may be registered later",
            "Sidecars, VPC access, binary authorization, launch stages": "kept and read back, not acted upon",
        },
    ),
    "iam": Page(
        "IAM, Resource Manager, Service Usage",
        "policies, decisions, accounts, roles, services",
        ("Policies and decisions", "Accounts, roles, project, services"),
        apis=("iam", "iam_controls", "iam_credentials", "resource_manager", "service_usage"),
        absent={
            "Organisations, folders, deny policies, principal access boundaries": "there is one project",
        },
    ),
    "secret_manager": Page(
        "Secret Manager v1",
        "versions, access, aliases, expiry",
        ("Secrets and versions",),
        apis=("secret_manager",),
        absent={
            "Rotation: topics and periods are kept and not acted upon": "EnableManagedRotation and RotateSecret answer "
            "UNIMPLEMENTED by name",
        },
    ),
    "front_end": Page(
        "Front end, identity, operations",
        "REST and gRPC, doors, tokens, metadata server, clock, state",
        ("REST and gRPC", "Identity", "Operations, clock, state"),
        apis=("operations", "oauth2", "metadata", "admin"),
        absent={
            "Operations of one service alone": "one address is all services': a list holds those of each, and a client "
            "over REST that does not know another's metadata cannot read the list (by name it can)",
        },
    ),
    "standalone": Page(
        "By itself",
        "`sluice cloud start`, one port, what points clients at it",
        ("Starting", "Pointing clients at it", "One deployer"),
    ),
    "logging": Page(
        "Cloud Logging v2",
        "entries, the query language, retention",
        ("Entries", "Query language", "Log-based metrics", "Sinks, buckets, views"),
        apis=("logging",),
        absent={
            "CopyLogEntries, links to BigQuery datasets": "there is no BigQuery: UNIMPLEMENTED by name",
            "gcloud alpha logging tail": "it speaks gRPC to logging.googleapis.com through TLS of its own; Google's "
            "clients can tail",
            "Log scopes, saved queries, recent queries": "they stand in no published proto",
            "Data access and other audit logs of the platform": "what the cloud decides is in the log local-cloud",
        },
    ),
    "monitoring": Page(
        "Cloud Monitoring v3",
        "time series, metric descriptors, policies, dashboards",
        (
            "Metrics",
            "Cloud Tasks",
            "Cloud Run",
            "Time series",
            "Descriptors",
            "Custom metrics",
            "Permissions",
            "Policies and dashboards",
            "Services and SLOs",
            "Uptime checks",
            "Snoozes and groups",
        ),
        apis=("monitoring", "monitoring_controls"),
        absent={
            "Queries in MQL and PromQL": "filters and aggregations are what Google's clients and alerts use",
            "Page tokens bound to their query": "a token is a place in the list: one of another query is taken",
            "CreateServiceTimeSeries": "Google's own services write by it: UNIMPLEMENTED by name",
            "Basic SLIs of other platforms than Cloud Run": "there are no metrics of them: refused",
            "Uptime checks of hosts elsewhere, of groups and of synthetic monitors": "kept or refused; none leaves the "
            "machine",
            "CPU, memory and billed time of jobs": "their attempts and executions are counted",
        },
    ),
    "alerting": Page(
        "Alerting",
        "conditions, incidents, notifications",
        ("Conditions", "Incidents", "Notifications"),
        absent={
            "Conditions in MQL, PromQL and SQL": "refused by name: none is accepted that would never fire",
            "Channels of Google Chat, ServiceNow and the mobile app": "refused by name; text messages are not sent",
            "Seasons in forecasts, metadata labels in filters": "a forecast is a trend; the cloud has no metadata",
            "Incidents acknowledged or closed by hand": "Google has no public API for either",
        },
    ),
    "pubsub": Page(
        "Pub/Sub v1",
        "topics, subscriptions, publish, pull, push, ordering, dead letters",
        (
            "Topics and subscriptions",
            "Publishing",
            "Pull",
            "Push",
            "Ordering",
            "Dead letters",
            "Snapshots and schemas",
            "Metrics",
        ),
        apis=("pubsub",),
        absent={
            "Delivery to BigQuery, Cloud Storage and Bigtable; ingestion; message transforms": "refused by name",
            "Regions of storage, keys of KMS on topics": "kept and read back; they change nothing on loopback",
            "Imports and extensions in schemas of type PROTOCOL_BUFFER": "refused: a schema stands alone",
            "Tags on resources": "input only: taken, and never shown",
        },
    ),
    "storage": Page(
        "Cloud Storage (JSON API v1)",
        "buckets, objects, preconditions",
        ("Buckets", "Objects"),
        apis=("storage",),
        absent={
            "ACLs of buckets and objects": "kept out: access is by IAM, as with uniform bucket-level access",
            "Restoring soft-deleted objects": "the policy is kept and read back; what is deleted is gone",
            "The XML API, signed URLs, gRPC (storage.v2)": "Google's clients and gcloud use the JSON API",
            "Folders, managed folders, anywhere caches, HMAC keys, inventory": "nothing of the system uses them",
        },
    ),
    "artifact_registry": Page(
        "Artifact Registry",
        "repositories, images pushed and pulled, run by digest",
        ("Repositories", "Images", "Running an image"),
        apis=("artifact_registry",),
        absent={
            "Maven, npm, Python, apt, yum, Go and generic artifacts": "kept as repositories; what is in them is not "
            "here: UNIMPLEMENTED by name",
            "Remote and virtual repositories": "kept and read back; the registry holds nothing in them",
            "Attachments, rules, exports, vulnerability scanning": "nothing of the system uses them",
            "Digests other than sha256": "as Google's",
        },
    ),
    "sql": Page(
        "Cloud SQL Admin v1beta4",
        "instances, databases and users over the embedded Postgres",
        ("Instances, databases, users", "Over the embedded Postgres"),
        apis=("sql_admin",),
        absent={
            "The token of an IAM login": "Postgres trusts loopback; the name of the login is what decides",
            "Collations": "kept; databases have the server's",
            "Replicas, clones, failover, restarts": "UNIMPLEMENTED by name: the server is somebody else's",
            "Names that stay taken for a week": "an instance can be made again at once",
        },
    ),
    "infrastructure": Page(
        "What stands around a system",
        "networks, keys, workload identity, budgets",
        ("Networks", "Keys", "Workload identity", "Billing and policy"),
        apis=("binary_authorization", "budgets", "kms"),
        absent={
            "Imported and external keys, unpadded RSA, post-quantum algorithms": "refused by name",
            "Hardware modules and their attestations": "a key of protection level HSM lies in a file like the others",
            "Packets, firewalls, instances, load balancers": "networks are declared and checked, nothing is routed",
            "AWS, SAML and X.509 providers of workload identity": "kept and read back; tokens are exchanged for OIDC",
            "Spending": "nothing costs money here: a budget is kept and never alerts",
        },
    ),
    "scheduler": Page(
        "Cloud Scheduler v1",
        "schedules, attempts, retries",
        ("Jobs",),
        apis=("scheduler",),
    ),
    "plain": Page(
        "What is only kept",
        "databases, repositories, channels: checked as Google does, kept, read back; nothing acts on it",
        ("Control planes",),
        rest=True,
    ),
}
