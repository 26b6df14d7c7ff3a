"""The monitored resources that the local cloud knows. Source: https://cloud.google.com/monitoring/api/resources."""

_PROJECT = ("project_id", "The identifier of the GCP project associated with this resource.")
_LOCATION = ("location", "The region in which this resource lies.")

#: Monitored resources: display name, description, labels. The lower ones are those that custom metrics may use.
RESOURCES: dict[str, tuple[str, str, tuple[tuple[str, str], ...]]] = {
    "cloud_tasks_queue": ("Cloud Tasks Queue", "A Cloud Tasks queue.", (
        _PROJECT, ("queue_id", "The identifier of the queue."), _LOCATION,
        ("target_type", "The target type of the queue."))),
    "cloud_run_revision": ("Cloud Run Revision", "A revision in Cloud Run.", (
        _PROJECT, ("service_name", "The name of the service."), ("revision_name", "The name of the revision."),
        _LOCATION, ("configuration_name", "The name of the configuration which created the revision."))),
    "cloud_run_job": ("Cloud Run Job", "A job in Cloud Run.", (
        _PROJECT, ("job_name", "The name of the job."), _LOCATION)),
    "pubsub_topic": ("Cloud Pub/Sub Topic", "A topic in Google Cloud Pub/Sub.", (
        _PROJECT, ("topic_id", "The identifier of the topic, such as \"my-topic\"."))),
    "pubsub_subscription": ("Cloud Pub/Sub Subscription", "A subscription in Google Cloud Pub/Sub.", (
        _PROJECT, ("subscription_id", "The identifier of the subscription, such as \"my-subscription\"."))),
    "global": ("Global", "A resource type used to indicate that a log or metric is not associated with any specific "
               "resource.", (_PROJECT,)),
    "generic_task": ("Generic Task", "A generic task identifies an application process for which no more specific "
                     "resource is applicable.", (
        _PROJECT, _LOCATION, ("namespace", "A namespace identifier."), ("job", "The name of a grouping of related "
        "tasks."), ("task_id", "A unique identifier for the task."))),
    "generic_node": ("Generic Node", "A generic node identifies a machine or other computational resource for which "
                     "no more specific resource is applicable.", (
        _PROJECT, _LOCATION, ("namespace", "A namespace identifier."), ("node_id", "A unique identifier for the "
        "node."))),
    "gce_instance": ("VM Instance", "A virtual machine instance hosted in Compute Engine.", (
        _PROJECT, ("instance_id", "The numeric VM instance identifier."), ("zone", "The Compute Engine zone."))),
}  # fmt: skip
