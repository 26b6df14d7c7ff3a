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
    "cloud_scheduler_job": ("Cloud Scheduler Job", "A Cloud Scheduler job.", (
        _PROJECT, _LOCATION, ("job_id", "The identifier of the job."))),
    "logging_sink": ("Logging export sink", "An export sink in Logging.", (
        _PROJECT, ("name", "The name of the sink."), ("destination", "The address of the export destination."))),
    "uptime_url": ("Uptime Check URL", "A URL that an uptime check looks at.", (
        _PROJECT, ("host", "The host of the URL."))),
    "project": ("Project", "A Google Cloud project.", (_PROJECT,)),
    "audited_resource": ("Audited Resource", "A Google Cloud resource that produces audit logs.", (
        _PROJECT, ("service", "The name of the API that has been called."), ("method", "The method's full name."))),
    "service_account": ("Service Account", "A service account.", (
        _PROJECT, ("email_id", "The account's e-mail address."), ("unique_id", "The account's number."))),
    "gae_app": ("GAE Application", "An App Engine application.", (
        _PROJECT, ("module_id", "The service's name."), ("version_id", "The version's name."),
        ("zone", "The zone in which it runs."))),
    "cloud_function": ("Cloud Function", "A function.", (
        _PROJECT, ("function_name", "The function's name."), ("region", "The region in which it runs."))),
    "k8s_container": ("Kubernetes Container", "A Kubernetes container instance.", (
        _PROJECT, _LOCATION, ("cluster_name", "The cluster's name."), ("namespace_name", "The namespace's name."),
        ("pod_name", "The pod's name."), ("container_name", "The container's name."))),
    "build": ("Cloud Build", "A build of Cloud Build.", (
        _PROJECT, ("build_id", "The build's id."), ("build_trigger_id", "The trigger's id."))),
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
