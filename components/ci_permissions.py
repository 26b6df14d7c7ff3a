"""What it takes to read and to change each type of resource: the permissions of the pipeline's two custom roles.

One line a type, as the provider names it: what a preview with a refresh reads, and what an apply needs besides. A test
applies the app's layer as the deployer to the local cloud, which asks for each of them, and holds the lines against the
plan. No line of a type of the foundation alone has a second part: nobody but a person changes that layer.

Source: https://cloud.google.com/iam/docs/roles-permissions, page of each service.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

#: What both accounts read besides: the project, its policy and its APIs, and the operations that writes answer with.
ALWAYS = (
    "resourcemanager.projects.get",
    "resourcemanager.projects.getIamPolicy",
    "serviceusage.services.get",
    "serviceusage.services.list",
)

_POLICY = ("getIamPolicy", "setIamPolicy")

#: Type -> service and kind, the verbs that read it, the verbs that change it.
_TYPES = {
    "artifactregistry/repository:Repository": ("artifactregistry.repositories", "get", ""),
    "artifactregistry/repositoryIamMember:RepositoryIamMember": ("artifactregistry.repositories", "getIamPolicy", ""),
    "cloudrunv2/job:Job": ("run.jobs", "get", "create update delete run"),
    "cloudrunv2/service:Service": ("run.services", "get", "create update delete"),
    "cloudrunv2/serviceIamMember:ServiceIamMember": ("run.services", *_POLICY),
    "cloudscheduler/job:Job": ("cloudscheduler.jobs", "get", "create update delete enable pause"),
    "cloudtasks/queue:Queue": ("cloudtasks.queues", "get", "create update delete pause resume"),
    "cloudtasks/queueIamMember:QueueIamMember": ("cloudtasks.queues", *_POLICY),
    "compute/globalAddress:GlobalAddress": ("compute.globalAddresses", "get", ""),
    "compute/network:Network": ("compute.networks", "get", ""),
    "compute/subnetwork:Subnetwork": ("compute.subnetworks", "get", ""),
    "iam/workloadIdentityPool:WorkloadIdentityPool": ("iam.workloadIdentityPools", "get", ""),
    "iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": ("iam.workloadIdentityPoolProviders", "get", ""),
    # Who opens Pulumi's state: bound by a person, and looked at where bucket and key stand in the stack's project.
    "kms/cryptoKeyIAMMember:CryptoKeyIAMMember": ("cloudkms.cryptoKeys", "getIamPolicy", ""),
    "logging/metric:Metric": ("logging.logMetrics", "get", "create update delete"),
    "logging/projectBucketConfig:ProjectBucketConfig": ("logging.buckets", "get", ""),
    "logging/projectSink:ProjectSink": ("logging.sinks", "get", ""),
    "monitoring/alertPolicy:AlertPolicy": ("monitoring.alertPolicies", "get", "create update delete"),
    "monitoring/customService:CustomService": ("monitoring.services", "get", "create update delete"),
    "monitoring/dashboard:Dashboard": ("monitoring.dashboards", "get", "create update delete"),
    "monitoring/metricDescriptor:MetricDescriptor": ("monitoring.metricDescriptors", "get", "create delete"),
    "monitoring/notificationChannel:NotificationChannel": (
        "monitoring.notificationChannels",
        "get",
        "create update delete",
    ),
    "monitoring/slo:Slo": ("monitoring.slos", "get", "create update delete"),
    "monitoring/uptimeCheckConfig:UptimeCheckConfig": ("monitoring.uptimeCheckConfigs", "get", "create update delete"),
    "projects/iAMAuditConfig:IAMAuditConfig": ("resourcemanager.projects", "getIamPolicy", ""),
    "projects/iAMCustomRole:IAMCustomRole": ("iam.roles", "get", ""),
    # The right to change the project's policy is bound under a condition and stands in no role of ours.
    "projects/iAMMember:IAMMember": ("resourcemanager.projects", "getIamPolicy", ""),
    "projects/service:Service": ("serviceusage.services", "get", ""),
    "pubsub/subscription:Subscription": ("pubsub.subscriptions", "get", "create update delete"),
    "pubsub/subscriptionIAMMember:SubscriptionIAMMember": ("pubsub.subscriptions", *_POLICY),
    "pubsub/topic:Topic": ("pubsub.topics", "get", "create update delete attachSubscription"),
    "pubsub/topicIAMMember:TopicIAMMember": ("pubsub.topics", *_POLICY),
    "secretmanager/secret:Secret": ("secretmanager.secrets", "get", ""),
    "secretmanager/secretIamMember:SecretIamMember": ("secretmanager.secrets", *_POLICY),
    "serviceaccount/account:Account": ("iam.serviceAccounts", "get", "create update delete actAs"),
    "serviceaccount/iAMMember:IAMMember": ("iam.serviceAccounts", *_POLICY),
    "servicenetworking/connection:Connection": ("servicenetworking.services", "get", ""),
    # The record and who reads it: bound on its one bucket (ci_identity), since other buckets hold other things.
    "storage/bucket:Bucket": ("storage.buckets", "get", ""),
    "storage/bucketObject:BucketObject": ("storage.objects", "", ""),
    "storage/bucketIAMMember:BucketIAMMember": ("storage.buckets", "getIamPolicy", ""),
    "sql/database:Database": ("cloudsql.databases", "get", ""),
    "sql/databaseInstance:DatabaseInstance": ("cloudsql.instances", "get", ""),
    "sql/user:User": ("cloudsql.users", "get", "create update delete"),
}

#: The load balancer before public doors, which is an option, is applied by a person; it is read as everything else is.
_EDGE = {
    "compute/backendService:BackendService": "compute.backendServices",
    "compute/globalForwardingRule:GlobalForwardingRule": "compute.globalForwardingRules",
    "compute/managedSslCertificate:ManagedSslCertificate": "compute.sslCertificates",
    "compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup": "compute.regionNetworkEndpointGroups",
    "compute/securityPolicy:SecurityPolicy": "compute.securityPolicies",
    "compute/targetHttpsProxy:TargetHttpsProxy": "compute.targetHttpsProxies",
    "compute/uRLMap:URLMap": "compute.urlMaps",
}

#: Types that nobody reads back, or that stand outside of the project: the budget is the billing account's, so that a
#: look for drift leaves it out and says so (local_engine/survey.py).
UNREAD = ("billing/budget:Budget", "projects/serviceIdentity:ServiceIdentity")

#: What else a look for drift reads: which versions secrets have, which accounts have keys, and who else was let in to a
#: job, though nobody is by the specs.
BESIDES = (
    "iam.serviceAccountKeys.list",
    "run.jobs.getIamPolicy",
    "secretmanager.versions.get",
    "secretmanager.versions.list",
)

#: How the end of a write to Cloud Run is seen.
OPERATIONS = ("run.executions.get", "run.operations.get")

#: What starts a new queue: the probe's own tasks (`sluice queues resume --probe`), what the log says of a refusal, and
#: the audit entry.
PROBE = (
    "cloudtasks.tasks.create",
    "cloudtasks.tasks.delete",
    "cloudtasks.tasks.get",
    "cloudtasks.tasks.run",
    "logging.logEntries.create",
    "logging.logEntries.list",
)


def known() -> frozenset[str]:
    """Return the types that have a line."""
    return frozenset(_TYPES) | frozenset(_EDGE) | frozenset(UNREAD)


def read() -> tuple[str, ...]:
    """Return what a preview with a refresh, and a look for drift, take: whatever can be read singly can be listed."""
    reading = (_verbs(kind, f"{reads} list" if reads == "get" else reads) for kind, reads, _ in _TYPES.values())
    return _sorted(ALWAYS, BESIDES, *reading, *(_verbs(kind, "get list") for kind in _EDGE.values()))


def change() -> tuple[str, ...]:
    """Return what an apply of the app's layer takes: all of the above, the changes, and the start of new queues."""
    return _sorted(read(), OPERATIONS, PROBE, *(_verbs(kind, writes) for kind, _, writes in _TYPES.values()))


def _verbs(kind: str, verbs: str) -> Iterator[str]:
    return (f"{kind}.{verb}" for verb in verbs.split())


def _sorted(*parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({permission for part in parts for permission in part}))
