"""Every name that is derived rather than declared: accounts, roles, URLs, jobs, images, database users.

Owns the naming rules and Google's limits on names; a component never builds a name by itself. Knows no cloud: project,
number and region are arguments.

Sources: the references of iam.serviceAccounts.create (account ids), Cloud Run's deterministic URLs and Queue.name.
"""

from __future__ import annotations

import hashlib
import re

#: The account that people and CI impersonate; it may call the operator paths of services.
OPERATOR_ACCOUNT_ID = "sluice-operator"

#: The account, and the login, that migrates the database, and the Cloud Run job that runs as it.
MIGRATOR_ACCOUNT_ID = "sluice-migrator"
MIGRATION_JOB = "sluice-migrate"

#: The custom role that may create tasks and nothing else: roles/cloudtasks.enqueuer can also read payloads.
TASK_CREATOR_ROLE_ID = "sluiceTaskCreator"

#: The database that all services share, each with its own role.
DATABASE_NAME = "payments"

#: The Cloud SQL instance that holds it.
DATABASE_INSTANCE = "payments"

#: The private network, its subnet for Cloud Run, and the range that is lent to Google for the database.
NETWORK = "sluice"
SUBNETWORK = "sluice-run"
SERVICES_RANGE = "sluice-services"

#: The bucket of log entries about payments, and the sink that leads there.
LOG_BUCKET = "sluice-payments"
LOG_SINK = "sluice-payments"

#: The pool and the provider by which a pipeline's jobs become an account, and the two accounts.
CI_POOL, CI_PROVIDER = "sluice-ci", "github"
PREVIEWER_ACCOUNT_ID = "sluice-previewer"
DEPLOYER_ACCOUNT_ID = "sluice-deployer"

#: Their custom roles: what a preview reads, and what an apply of the app changes.
PREVIEWER_ROLE_ID = "sluicePreviewer"
DEPLOYER_ROLE_ID = "sluiceDeployer"

#: Artifact Registry repository and image that hold the services.
IMAGE_REPOSITORY = "sluice"
IMAGE_NAME = "services"

#: The bucket of the rollout record, and what is in it: the record that services read, the running or last rollout, the
#: lock of whoever walks, what was walked before, and rotations of secrets.
ROLLOUT_BUCKET = "sluice-rollout"
RECORD_OBJECT = "record.json"
ROLLOUT_OBJECT = "rollout.json"
LOCK_OBJECT = "lock.json"
HISTORY_FOLDER = "history/"
ROTATIONS_FOLDER = "rotations/"

#: Tags are roles of revisions, not revisions: what takes the traffic, what is tried, and what was stable before.
STABLE_TAG, CANARY_TAG, PREVIOUS_TAG = "stable", "canary", "previous"

#: The longest of them; URL labels must have room for it.
LONGEST_TAG = max(STABLE_TAG, CANARY_TAG, PREVIOUS_TAG, key=len)

#: What separates tag and service in a URL label.
TAG_SEPARATOR = "---"

#: Account ids have 6 to 30 characters.
ACCOUNT_ID_SHORTEST = 6
ACCOUNT_ID_LONGEST = 30

#: One label of a host name has at most 63 characters (RFC 1035).
LABEL_LONGEST = 63

#: A project number has 12 or 13 digits today; labels are checked against the longest.
PROJECT_NUMBER_LONGEST = 13

#: Cloud Run accepts service names of up to 49 characters.
SERVICE_NAME_LONGEST = 49

#: A queue id has at most 100 characters; Cloud Scheduler's job ids 500; secret ids 255.
QUEUE_ID_LONGEST = 100
SECRET_ID_LONGEST = 255

#: A topic's id has 3 to 255 characters; its subscriptions and dead letters need room for their endings.
TOPIC_ID_LONGEST = 240

SERVICE_NAME = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)
TOPIC_ID = re.compile(r"(?!goog)[a-z](?:[a-z0-9-]*[a-z0-9])", re.ASCII)
QUEUE_ID = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)
ACCOUNT_ID = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])", re.ASCII)
SECRET_ID = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)

_HASH_DIGITS = 4


def service_account_id(service: str) -> str:
    """Return the account that a service runs as."""
    return service


def invoker_account_id(queue: str) -> str:
    """Return the account whose token Cloud Tasks shows when it dispatches a task of the queue."""
    return _fit(f"{queue.removesuffix('-queue')}-invoker")


def push_account_id(topic: str) -> str:
    """Return the account whose token Pub/Sub shows when it pushes a message of the topic."""
    return _fit(f"{topic}-push")


def dead_letter_topic(topic: str) -> str:
    """Return the topic that takes what a topic's subscription gave up."""
    return f"{topic}-dlq"


def subscription(topic: str) -> str:
    """Return the subscription of a topic, or of a dead-letter topic."""
    return f"{topic}-sub"


def topic_path(project: str, topic: str) -> str:
    """Return the full name of a topic."""
    return f"projects/{project}/topics/{topic}"


def pubsub_agent(project_number: str) -> str:
    """Return the account by which Pub/Sub itself acts in a project."""
    return f"service-{project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"


def scheduler_account_id(service: str) -> str:
    """Return the account whose token Cloud Scheduler shows when it calls a service."""
    return _fit(f"{service}-scheduler")


def account_email(account_id: str, project: str) -> str:
    """Return the address of a service account."""
    return f"{account_id}@{project}.iam.gserviceaccount.com"


def custom_role(project: str) -> str:
    """Return the full name of the role that may only create tasks."""
    return f"projects/{project}/roles/{TASK_CREATOR_ROLE_ID}"


def ci_pool(project_number: str) -> str:
    """Return the full name of the pool of a pipeline's identities."""
    return f"projects/{project_number}/locations/global/workloadIdentityPools/{CI_POOL}"


def ci_provider(project_number: str) -> str:
    """Return the full name of the provider to which a pipeline's jobs show their tokens."""
    return f"{ci_pool(project_number)}/providers/{CI_PROVIDER}"


def queue_path(project: str, location: str, queue: str) -> str:
    """Return the full name of a queue."""
    return f"projects/{project}/locations/{location}/queues/{queue}"


def network_path(project: str) -> str:
    """Return the full name of the private network."""
    return f"projects/{project}/global/networks/{NETWORK}"


def is_revision_of(revision: str, service: str) -> bool:
    """Return whether a revision may be one of a service: SERVICE-HASH of ours, SERVICE-00012-abc of Google."""
    return revision.startswith(f"{service}-")


def rollout_bucket(project: str) -> str:
    """Return the bucket of the rollout record; names of buckets are unique in the world, as ids of projects are."""
    return f"{project}-{ROLLOUT_BUCKET}"


def scheduler_job(service: str, schedule: str) -> str:
    """Return the id of the Cloud Scheduler job of one schedule."""
    return f"{service}-{schedule}"


def url_label(service: str, project_number: str, tag: str | None = None) -> str:
    """Return the first label of a service's host name, known before the service exists."""
    label = f"{service}-{project_number}"
    return f"{tag}{TAG_SEPARATOR}{label}" if tag else label


def service_url(template: str, service: str, *, project_number: str, region: str, tag: str | None = None) -> str:
    """Return a service's URL without a slash at its end; without a tag it is the audience of its tokens too."""
    return template.format(label=url_label(service, project_number, tag), region=region)


def image(region: str, project: str, digest: str) -> str:
    """Return the image of the services by digest."""
    return f"{images(region, project)}@{digest}"


def images(region: str, project: str) -> str:
    """Return where the images of the services are pushed."""
    return f"{region}-docker.pkg.dev/{project}/{IMAGE_REPOSITORY}/{IMAGE_NAME}"


def cloud_sql_user(service: str, project: str) -> str:
    """Return a service's login in Cloud SQL, where IAM accounts drop the end of their address."""
    return f"{service_account_id(service)}@{project}.iam"


def secret_path(project: str, secret: str) -> str:
    """Return the full name of a secret."""
    return f"projects/{project}/secrets/{secret}"


def _fit(account_id: str) -> str:
    """Cut an account id that is too long; four digits of the whole name's hash keep two cut ones apart."""
    if len(account_id) <= ACCOUNT_ID_LONGEST:
        return account_id
    digest = hashlib.sha256(account_id.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{account_id[: ACCOUNT_ID_LONGEST - _HASH_DIGITS - 1].rstrip('-')}-{digest}"
