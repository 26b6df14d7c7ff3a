"""Google's own table of permission per RPC: what each method asks of its caller, by the page that says so.

A test holds every declared handler against it (tests/local_cloud/test_iam_permissions.py): whoever adds an RPC adds its
line. Under a service and its page, a line is a method and its permission, asked on the resource in the method's URL.
`none` asks for nothing, `~` marks what the handler asks for itself, `+` what is asked besides, and when.
`{a,b}Resource stem` stands for `aResource stem.a` and `bResource stem.b`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from local_cloud.errors import invalid

TABLE = """
google.cloud.tasks.v2.CloudTasks https://cloud.google.com/tasks/docs/reference-access-control
  ListQueues cloudtasks.queues.list
  {Get,Create,Delete,Purge,Pause,Resume}Queue cloudtasks.queues
  UpdateQueue cloudtasks.queues.update + cloudtasks.queues.create where there is no such queue
  GetIamPolicy cloudtasks.queues.getIamPolicy
  SetIamPolicy cloudtasks.queues.setIamPolicy
  TestIamPermissions none
  ListTasks cloudtasks.tasks.list + cloudtasks.tasks.fullView for the view FULL
  GetTask cloudtasks.tasks.get + cloudtasks.tasks.fullView for the view FULL
  CreateTask cloudtasks.tasks.create + iam.serviceAccounts.actAs on the account of its token + cloudtasks.tasks.fullView for the view FULL
  BatchCreateTasks cloudtasks.tasks.create + iam.serviceAccounts.actAs on the accounts of their tokens + cloudtasks.tasks.fullView for the view FULL
  BufferTask cloudtasks.tasks.create
  DeleteTask cloudtasks.tasks.delete
  BatchDeleteTasks cloudtasks.tasks.delete
  RunTask cloudtasks.tasks.run + cloudtasks.tasks.fullView for the view FULL
  GetCmekConfig cloudtasks.cmekConfig.get
  UpdateCmekConfig cloudtasks.cmekConfig.update

google.cloud.run.v2.Services https://cloud.google.com/run/docs/reference/iam/permissions
  ListServices run.services.list
  {Get,Delete}Service run.services
  CreateService run.services.create + iam.serviceAccounts.actAs on the revision's account
  UpdateService run.services.update + run.services.create with allow_missing, where there is no such service + iam.serviceAccounts.actAs on the revision's account
  GetIamPolicy run.services.getIamPolicy
  SetIamPolicy run.services.setIamPolicy
  TestIamPermissions none
google.cloud.run.v2.Revisions https://cloud.google.com/run/docs/reference/iam/permissions
  ListRevisions run.revisions.list
  {Get,Delete}Revision run.revisions
google.cloud.run.v2.Jobs https://cloud.google.com/run/docs/reference/iam/permissions
  ListJobs run.jobs.list
  {Get,Delete}Job run.jobs
  CreateJob run.jobs.create + iam.serviceAccounts.actAs on the job's account
  UpdateJob run.jobs.update + run.jobs.create with allow_missing, where there is no such job + iam.serviceAccounts.actAs on the job's account
  RunJob run.jobs.run + run.jobs.runWithOverrides with overrides
  GetIamPolicy run.jobs.getIamPolicy
  SetIamPolicy run.jobs.setIamPolicy
  TestIamPermissions none
google.cloud.run.v2.Executions https://cloud.google.com/run/docs/reference/iam/permissions
  ListExecutions run.executions.list
  {Get,Delete,Cancel}Execution run.executions
google.cloud.run.v2.Tasks https://cloud.google.com/run/docs/reference/iam/permissions
  ListTasks run.tasks.list
  GetTask run.tasks.get
google.cloud.run.v2.WorkerPools https://cloud.google.com/run/docs/reference/iam/permissions
  ListWorkerPools run.workerpools.list
  {Get,Delete}WorkerPool run.workerpools
  CreateWorkerPool run.workerpools.create + iam.serviceAccounts.actAs on the pool's account
  UpdateWorkerPool run.workerpools.update + run.workerpools.create with allow_missing, where there is no such pool + iam.serviceAccounts.actAs on the pool's account
  GetIamPolicy run.workerpools.getIamPolicy
  SetIamPolicy run.workerpools.setIamPolicy
  TestIamPermissions none
google.cloud.run.v2.Builds https://cloud.google.com/run/docs/reference/iam/permissions
  SubmitBuild run.builds.create

google.cloud.secretmanager.v1.SecretManagerService https://cloud.google.com/secret-manager/docs/access-control
  ListSecrets secretmanager.secrets.list
  {Get,Create,Update,Delete}Secret secretmanager.secrets
  AddSecretVersion secretmanager.versions.add
  ListSecretVersions secretmanager.versions.list
  {Get,Access,Enable,Disable,Destroy}SecretVersion secretmanager.versions
  GetIamPolicy secretmanager.secrets.getIamPolicy
  SetIamPolicy secretmanager.secrets.setIamPolicy
  TestIamPermissions none
  EnableManagedRotation secretmanager.secrets.update
  RotateSecret secretmanager.secrets.rotate

google.iam.admin.v1.IAM https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts
  ListServiceAccounts iam.serviceAccounts.list
  {Get,Create,Update,Delete,Undelete,Enable,Disable}ServiceAccount iam.serviceAccounts
  PatchServiceAccount iam.serviceAccounts.update
  ListServiceAccountKeys iam.serviceAccountKeys.list
  {Get,Create,Delete,Enable,Disable}ServiceAccountKey iam.serviceAccountKeys
  UploadServiceAccountKey iam.serviceAccountKeys.create
  SignBlob iam.serviceAccounts.signBlob
  SignJwt iam.serviceAccounts.signJwt
  GetIamPolicy iam.serviceAccounts.getIamPolicy
  SetIamPolicy iam.serviceAccounts.setIamPolicy
  TestIamPermissions none
  ListRoles ~iam.roles.list for a project's own
  GetRole ~iam.roles.get for a project's own
  {Create,Update,Delete,Undelete}Role iam.roles
  QueryGrantableRoles none
  QueryTestablePermissions none
  QueryAuditableServices none
  LintPolicy none
google.iam.credentials.v1.IAMCredentials https://cloud.google.com/iam/docs/service-account-permissions
  GenerateAccessToken ~iam.serviceAccounts.getAccessToken + iam.serviceAccounts.implicitDelegation along a chain of delegates
  GenerateIdToken ~iam.serviceAccounts.getOpenIdToken + iam.serviceAccounts.implicitDelegation along a chain of delegates
  SignBlob ~iam.serviceAccounts.signBlob + iam.serviceAccounts.implicitDelegation along a chain of delegates
  SignJwt ~iam.serviceAccounts.signJwt + iam.serviceAccounts.implicitDelegation along a chain of delegates

google.cloud.resourcemanager.v3.Projects https://cloud.google.com/resource-manager/docs/access-control-proj
  GetProject resourcemanager.projects.get
  ListProjects ~resourcemanager.projects.list
  SearchProjects ~resourcemanager.projects.get
  {Create,Update,Move,Delete,Undelete}Project resourcemanager.projects
  GetIamPolicy resourcemanager.projects.getIamPolicy
  SetIamPolicy resourcemanager.projects.setIamPolicy
  TestIamPermissions none

google.api.serviceusage.v1.ServiceUsage https://cloud.google.com/service-usage/docs/access-control
  ListServices serviceusage.services.list
  {Get,Enable,Disable}Service serviceusage.services
  BatchGetServices serviceusage.services.get
  BatchEnableServices serviceusage.services.enable

google.longrunning.Operations https://cloud.google.com/iam/docs/roles-permissions/run https://cloud.google.com/iam/docs/roles-permissions/serviceusage (Cloud Tasks and Artifact Registry have no permissions for operations)
  GetOperation ~run.operations.get + serviceusage.operations.get for Service Usage's + cloudtasks.tasks.create for a batch of creations + cloudtasks.tasks.delete for a batch of deletions + artifactregistry.repositories.get for Artifact Registry's
  WaitOperation ~run.operations.get + serviceusage.operations.get for Service Usage's + cloudtasks.tasks.create for a batch of creations + cloudtasks.tasks.delete for a batch of deletions + artifactregistry.repositories.get for Artifact Registry's
  ListOperations ~run.operations.list + serviceusage.operations.list for Service Usage's + cloudtasks.tasks.create for batches of creations + cloudtasks.tasks.delete for batches of deletions + artifactregistry.repositories.list for Artifact Registry's
  DeleteOperation ~run.operations.delete + serviceusage.operations.delete for Service Usage's + cloudtasks.tasks.create for a batch of creations + cloudtasks.tasks.delete for a batch of deletions + artifactregistry.repositories.delete for Artifact Registry's
  CancelOperation ~run.operations.delete + serviceusage.operations.cancel for Service Usage's + cloudtasks.tasks.create for a batch of creations + cloudtasks.tasks.delete for a batch of deletions + artifactregistry.repositories.delete for Artifact Registry's
google.cloud.location.Locations https://cloud.google.com/iam/docs/roles-permissions (each service has its own; there is one location)
  GetLocation none
  ListLocations none

google.cloud.scheduler.v1.CloudScheduler https://cloud.google.com/scheduler/docs/access-control
  ListJobs cloudscheduler.jobs.list
  {Get,Delete,Pause,Run}Job cloudscheduler.jobs
  CreateJob cloudscheduler.jobs.create + iam.serviceAccounts.actAs on the account of its token
  UpdateJob cloudscheduler.jobs.update + iam.serviceAccounts.actAs on the account of its token
  ResumeJob cloudscheduler.jobs.enable

google.logging.v2.LoggingServiceV2 https://cloud.google.com/logging/docs/access-control
  DeleteLog logging.logs.delete
  WriteLogEntries logging.logEntries.create
  ListLogEntries logging.logEntries.list
  ListLogs logging.logs.list
  ListMonitoredResourceDescriptors none
  TailLogEntries ~logging.logEntries.list
google.logging.v2.MetricsServiceV2 https://cloud.google.com/logging/docs/access-control
  ListLogMetrics logging.logMetrics.list
  {Get,Create,Update,Delete}LogMetric logging.logMetrics
google.logging.v2.ConfigServiceV2 https://cloud.google.com/logging/docs/access-control
  ListBuckets logging.buckets.list
  {Get,Create,Update,Delete,Undelete}Bucket logging.buckets
  CreateBucketAsync logging.buckets.create
  UpdateBucketAsync logging.buckets.update
  ListViews logging.views.list
  {Get,Create,Update,Delete}View logging.views
  ListSinks logging.sinks.list
  {Get,Create,Update,Delete}Sink logging.sinks
  ListExclusions logging.exclusions.list
  {Get,Create,Update,Delete}Exclusion logging.exclusions
  ListLinks logging.links.list
  {Get,Create,Delete}Link logging.links
  {Get,Update}CmekSettings logging.cmekSettings
  {Get,Update}Settings logging.settings
  CopyLogEntries logging.logEntries.list

google.monitoring.v3.AlertPolicyService https://cloud.google.com/monitoring/access-control
  ListAlertPolicies monitoring.alertPolicies.list
  {Get,Create,Update,Delete}AlertPolicy monitoring.alertPolicies
google.monitoring.v3.NotificationChannelService https://cloud.google.com/monitoring/access-control
  ListNotificationChannels monitoring.notificationChannels.list
  {Get,Create,Update,Delete}NotificationChannel monitoring.notificationChannels
  ListNotificationChannelDescriptors monitoring.notificationChannelDescriptors.list
  GetNotificationChannelDescriptor monitoring.notificationChannelDescriptors.get
  SendNotificationChannelVerificationCode monitoring.notificationChannels.sendVerificationCode
  GetNotificationChannelVerificationCode monitoring.notificationChannels.getVerificationCode
  VerifyNotificationChannel monitoring.notificationChannels.verify
google.monitoring.v3.MetricService https://cloud.google.com/monitoring/access-control
  ListMonitoredResourceDescriptors monitoring.monitoredResourceDescriptors.list
  GetMonitoredResourceDescriptor monitoring.monitoredResourceDescriptors.get
  ListMetricDescriptors monitoring.metricDescriptors.list
  {Get,Create,Delete}MetricDescriptor monitoring.metricDescriptors
  ListTimeSeries monitoring.timeSeries.list
  CreateTimeSeries monitoring.timeSeries.create
  CreateServiceTimeSeries monitoring.timeSeries.create
google.monitoring.v3.QueryService https://cloud.google.com/monitoring/access-control
  QueryTimeSeries monitoring.timeSeries.list
google.monitoring.v3.GroupService https://cloud.google.com/monitoring/access-control
  ListGroups monitoring.groups.list
  {Get,Create,Update,Delete}Group monitoring.groups
  ListGroupMembers monitoring.groups.get
google.monitoring.v3.SnoozeService https://cloud.google.com/monitoring/access-control
  ListSnoozes monitoring.snoozes.list
  {Get,Create,Update}Snooze monitoring.snoozes
google.monitoring.v3.UptimeCheckService https://cloud.google.com/monitoring/access-control
  ListUptimeCheckConfigs monitoring.uptimeCheckConfigs.list
  {Get,Create,Update,Delete}UptimeCheckConfig monitoring.uptimeCheckConfigs
  ListUptimeCheckIps none
google.monitoring.v3.ServiceMonitoringService https://cloud.google.com/monitoring/access-control
  ListServices monitoring.services.list
  {Get,Create,Update,Delete}Service monitoring.services
  ListServiceLevelObjectives monitoring.slos.list
  {Get,Create,Update,Delete}ServiceLevelObjective monitoring.slos
google.monitoring.dashboard.v1.DashboardsService https://cloud.google.com/monitoring/access-control
  ListDashboards monitoring.dashboards.list
  {Get,Create,Update,Delete}Dashboard monitoring.dashboards

google.devtools.artifactregistry.v1.ArtifactRegistry https://cloud.google.com/artifact-registry/docs/access-control
  ListRepositories artifactregistry.repositories.list
  {Get,Create,Update,Delete}Repository artifactregistry.repositories
  GetIamPolicy artifactregistry.repositories.getIamPolicy
  SetIamPolicy artifactregistry.repositories.setIamPolicy
  TestIamPermissions none
  ListDockerImages artifactregistry.dockerimages.list
  GetDockerImage artifactregistry.dockerimages.get
  ListTags artifactregistry.tags.list
  {Get,Create,Update,Delete}Tag artifactregistry.tags

google.cloud.sql.v1beta4.SqlInstancesService https://cloud.google.com/sql/docs/postgres/iam-permissions
  {Get,List,Delete,Update} cloudsql.instances
  Insert cloudsql.instances.create
  Patch cloudsql.instances.update
google.cloud.sql.v1beta4.SqlDatabasesService https://cloud.google.com/sql/docs/postgres/iam-permissions
  {Get,List,Delete,Update} cloudsql.databases
  Insert cloudsql.databases.create
  Patch cloudsql.databases.update
google.cloud.sql.v1beta4.SqlUsersService https://cloud.google.com/sql/docs/postgres/iam-permissions
  {Get,List,Delete,Update} cloudsql.users
  Insert cloudsql.users.create
google.cloud.sql.v1beta4.SqlOperationsService https://cloud.google.com/sql/docs/postgres/iam-permissions
  Get cloudsql.instances.get
  List cloudsql.instances.get

google.pubsub.v1.Publisher https://cloud.google.com/pubsub/docs/access-control
  ListTopics pubsub.topics.list
  {Get,Create,Update,Delete}Topic pubsub.topics
  Publish pubsub.topics.publish
  ListTopicSubscriptions pubsub.topics.get
  ListTopicSnapshots pubsub.topics.get
  DetachSubscription pubsub.subscriptions.update
google.pubsub.v1.Subscriber https://cloud.google.com/pubsub/docs/access-control
  ListSubscriptions pubsub.subscriptions.list
  {Get,Update,Delete}Subscription pubsub.subscriptions
  CreateSubscription pubsub.subscriptions.create + pubsub.topics.attachSubscription on the topic
  ModifyAckDeadline pubsub.subscriptions.consume
  Acknowledge pubsub.subscriptions.consume
  Pull pubsub.subscriptions.consume
  StreamingPull ~pubsub.subscriptions.consume
  ModifyPushConfig pubsub.subscriptions.update
  ListSnapshots pubsub.snapshots.list
  {Get,Update,Delete}Snapshot pubsub.snapshots
  CreateSnapshot pubsub.snapshots.create + pubsub.subscriptions.consume on the subscription
  Seek pubsub.subscriptions.consume + pubsub.snapshots.seek to a snapshot
google.pubsub.v1.SchemaService https://cloud.google.com/pubsub/docs/access-control
  ListSchemas pubsub.schemas.list
  {Get,Create,Delete,Commit,Rollback}Schema pubsub.schemas
  ListSchemaRevisions pubsub.schemas.listRevisions
  DeleteSchemaRevision pubsub.schemas.delete
  ValidateSchema pubsub.schemas.validate
  ValidateMessage pubsub.schemas.validate
"""  # noqa: E501

#: What is asked for where no RPC of the table comes in: the front door of Cloud Run, and what acts as an account.
ELSEWHERE = ("run.routes.invoke", "appengine.applications.get")

#: Verbs that Google gives to most kinds of resources.
_VERBS = ("create", "delete", "get", "getIamPolicy", "list", "setIamPolicy", "undelete", "update")
_WORD = re.compile(r"[a-zA-Z][\w-]*(\.[a-zA-Z][\w-]*){2,}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one method asks for."""

    #: None where nothing is.
    permission: str | None
    #: Whether the handler asks, because it depends on the request.
    by_handler: bool
    #: What is asked besides, and when.
    besides: tuple[tuple[str, str], ...]
    source: str

    @property
    def permissions(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(filter(None, (self.permission, *(permission for permission, _ in self.besides))))


@cache
def rules() -> dict[str, Rule]:
    """The table by the full name of the method."""
    made: dict[str, Rule] = {}
    service = source = ""
    for line in filter(None, TABLE.splitlines()):
        if not line.startswith(" "):
            service, _, source = line.partition(" ")
            continue
        method, _, asked = line.strip().partition(" ")
        first, *rest = asked.split(" + ")
        word = first.partition(" ")[0]
        permission = None if word == "none" else word.lstrip("~")
        besides = tuple((text.partition(" ")[0], text.partition(" ")[2]) for text in rest)
        verbs = re.fullmatch(r"\{(.*)\}(.*)", method)
        for verb in verbs[1].split(",") if verbs else ():
            own = f"{permission}.{verb[0].lower()}{verb[1:]}" if permission else None
            made[f"{service}.{verb}{verbs[2] if verbs else ''}"] = Rule(own, word[0] == "~", besides, source)
        if not verbs:
            made[f"{service}.{method}"] = Rule(permission, word[0] == "~", besides, source)
    return made


@cache
def known() -> frozenset[str]:
    """Every permission that the table or a predefined role names."""
    from local_cloud.iam.roles import predefined

    named = {p for rule in rules().values() for p in rule.permissions}
    return frozenset(named.union(ELSEWHERE, *(role.permissions for role in predefined().values())))


def check_words(asked: Iterable[str]) -> None:
    """Refuses what cannot be tested: words that are no permissions, and those that a service here does not have."""
    for permission in asked:
        if "*" in permission:
            raise invalid(f"Permissions with wildcards (such as '*' or 'storage.*') are not allowed: {permission}.")
        if not _WORD.fullmatch(permission) or not _may_exist(permission):
            raise invalid(f"Permission {permission} is not valid for this resource.")


def _may_exist(permission: str) -> bool:
    if permission in known():
        return True
    stem, _, verb = permission.rpartition(".")
    service = permission.partition(".")[0]
    if not any(one.startswith(f"{service}.") for one in known()):
        return True  # a service that is not here: nobody can say
    return verb in _VERBS and any(one.startswith(f"{stem}.") for one in known())
