"""Google's predefined roles, as far as the services that are emulated (or declared by programs for them) need.

Source: https://cloud.google.com/iam/docs/roles-permissions, page of each service. One line a role: name, title and
permissions. Braces are alternatives, a role's name stands for all that it holds, `*` for all of the roles
above the line.
"""

TABLE = """
roles/cloudtasks.viewer | Cloud Tasks Viewer | cloudtasks.{cmekConfig.get,locations.get,locations.list,queues.get,queues.list,tasks.fullView,tasks.get,tasks.list} resourcemanager.projects.{get,list}
roles/cloudtasks.enqueuer | Cloud Tasks Enqueuer | cloudtasks.tasks.{create,fullView} resourcemanager.projects.{get,list}
roles/cloudtasks.taskDeleter | Cloud Tasks Task Deleter | cloudtasks.tasks.delete resourcemanager.projects.{get,list}
roles/cloudtasks.taskRunner | Cloud Tasks Task Runner | cloudtasks.tasks.{fullView,run} resourcemanager.projects.{get,list}
roles/cloudtasks.queueAdmin | Cloud Tasks Queue Admin | cloudtasks.locations.{get,list} cloudtasks.queues.{create,delete,get,getIamPolicy,list,pause,purge,resume,setIamPolicy,update} resourcemanager.projects.{get,list}
roles/cloudtasks.serviceAgent | Cloud Tasks Service Agent | iam.serviceAccounts.{getAccessToken,getOpenIdToken} logging.logEntries.create
roles/cloudtasks.admin | Cloud Tasks Admin | roles/cloudtasks.viewer roles/cloudtasks.enqueuer roles/cloudtasks.taskDeleter roles/cloudtasks.taskRunner roles/cloudtasks.queueAdmin cloudtasks.cmekConfig.update monitoring.timeSeries.list
roles/run.invoker | Cloud Run Invoker | run.routes.invoke run.jobs.run
roles/run.servicesInvoker | Cloud Run Service Invoker | run.routes.invoke
roles/run.jobsExecutor | Cloud Run Jobs Executor | run.jobs.run run.executions.cancel
roles/run.viewer | Cloud Run Viewer | run.{configurations,domainmappings,executions,jobs,operations,revisions,routes,services,tasks,workerpools}.{get,list} run.{jobs,services,workerpools}.getIamPolicy run.locations.list resourcemanager.projects.{get,list}
roles/run.developer | Cloud Run Developer | roles/run.viewer run.{jobs,services,workerpools}.{create,delete,update} run.{executions,revisions}.delete run.executions.cancel run.jobs.{run,runWithOverrides} run.operations.delete
roles/run.admin | Cloud Run Admin | roles/run.developer run.{jobs,services,workerpools}.setIamPolicy run.routes.invoke
roles/iam.serviceAccountUser | Service Account User | iam.serviceAccounts.{actAs,get,list} resourcemanager.projects.{get,list}
roles/iam.serviceAccountOpenIdTokenCreator | Service Account OpenID Connect Identity Token Creator | iam.serviceAccounts.getOpenIdToken
roles/iam.workloadIdentityUser | Workload Identity User | iam.serviceAccounts.{get,getAccessToken,getOpenIdToken,list}
roles/iam.workloadIdentityPoolViewer | IAM Workload Identity Pool Viewer | iam.{workloadIdentityPoolProviders,workloadIdentityPools}.{get,list} resourcemanager.projects.{get,list}
roles/iam.workloadIdentityPoolAdmin | IAM Workload Identity Pool Admin | roles/iam.workloadIdentityPoolViewer iam.{workloadIdentityPoolProviders,workloadIdentityPools}.{create,delete,undelete,update}
roles/iam.serviceAccountTokenCreator | Service Account Token Creator | iam.serviceAccounts.{get,getAccessToken,getOpenIdToken,implicitDelegation,list,signBlob,signJwt} resourcemanager.projects.{get,list}
roles/iam.serviceAccountViewer | View Service Accounts | iam.serviceAccountKeys.{get,list} iam.serviceAccounts.{get,getIamPolicy,list} resourcemanager.projects.{get,list}
roles/iam.serviceAccountCreator | Create Service Accounts | iam.serviceAccounts.{create,get,list} resourcemanager.projects.{get,list}
roles/iam.serviceAccountDeleter | Delete Service Accounts | iam.serviceAccounts.{delete,get,list} resourcemanager.projects.{get,list}
roles/iam.serviceAccountKeyAdmin | Service Account Key Admin | iam.serviceAccountKeys.{create,delete,disable,enable,get,list} iam.serviceAccounts.{get,list} resourcemanager.projects.{get,list}
roles/iam.serviceAccountAdmin | Service Account Admin | iam.serviceAccounts.{create,delete,disable,enable,get,getIamPolicy,list,setIamPolicy,undelete,update} resourcemanager.projects.{get,list}
roles/iam.roleViewer | Role Viewer | iam.roles.{get,list} resourcemanager.projects.{get,getIamPolicy,list}
roles/iam.roleAdmin | Role Administrator | iam.roles.{create,delete,get,list,undelete,update} resourcemanager.projects.{get,getIamPolicy,list}
roles/iam.securityReviewer | Security Reviewer | iam.roles.{get,list} iam.serviceAccounts.{get,getIamPolicy,list} resourcemanager.projects.{get,getIamPolicy,list} cloudtasks.queues.{getIamPolicy,list} secretmanager.secrets.{getIamPolicy,list} run.services.{getIamPolicy,list} pubsub.{topics,subscriptions}.{getIamPolicy,list}
roles/resourcemanager.projectIamAdmin | Project IAM Admin | resourcemanager.projects.{get,getIamPolicy,setIamPolicy}
roles/secretmanager.secretAccessor | Secret Manager Secret Accessor | secretmanager.versions.access resourcemanager.projects.{get,list}
roles/secretmanager.secretVersionAdder | Secret Manager Secret Version Adder | secretmanager.versions.add resourcemanager.projects.{get,list}
roles/secretmanager.secretVersionManager | Secret Manager Secret Version Manager | secretmanager.versions.{add,destroy,disable,enable,get,list} resourcemanager.projects.{get,list}
roles/secretmanager.viewer | Secret Manager Viewer | secretmanager.{locations,secrets,versions}.{get,list} secretmanager.secrets.getIamPolicy resourcemanager.projects.{get,list}
roles/secretmanager.admin | Secret Manager Admin | roles/secretmanager.viewer roles/secretmanager.secretVersionManager secretmanager.secrets.{create,delete,setIamPolicy,update} secretmanager.versions.access
roles/logging.logWriter | Logs Writer | logging.logEntries.{create,route}
roles/logging.viewAccessor | Logs View Accessor | logging.views.access
roles/logging.viewer | Logs Viewer | logging.{buckets,exclusions,locations,logMetrics,logs,operations,queries,sinks,views}.{get,list} logging.logEntries.list resourcemanager.projects.get
roles/logging.configWriter | Logs Configuration Writer | logging.{buckets,exclusions,logMetrics,sinks,views}.{create,delete,get,list,update} logging.buckets.undelete logging.operations.{cancel,get,list} logging.{cmekSettings,settings}.{get,update} logging.views.{getIamPolicy,setIamPolicy} resourcemanager.projects.get
roles/logging.admin | Logging Admin | roles/logging.logWriter roles/logging.viewer roles/logging.viewAccessor roles/logging.configWriter logging.logs.delete
roles/monitoring.metricWriter | Monitoring Metric Writer | monitoring.metricDescriptors.{create,get,list} monitoring.monitoredResourceDescriptors.{get,list} monitoring.timeSeries.create
roles/monitoring.viewer | Monitoring Viewer | monitoring.{alertPolicies,alerts,dashboards,groups,metricDescriptors,monitoredResourceDescriptors,notificationChannelDescriptors,notificationChannels,services,slos,snoozes,uptimeCheckConfigs}.{get,list} monitoring.timeSeries.list resourcemanager.projects.get
roles/monitoring.editor | Monitoring Editor | roles/monitoring.viewer roles/monitoring.metricWriter monitoring.{alertPolicies,dashboards,groups,notificationChannels,services,slos,snoozes,uptimeCheckConfigs}.{create,delete,update} monitoring.metricDescriptors.delete monitoring.notificationChannels.{getVerificationCode,sendVerificationCode,verify}
roles/monitoring.alertViewer | Monitoring Alert Viewer | monitoring.alerts.{get,list}
roles/monitoring.alertPolicyViewer | Monitoring AlertPolicy Viewer | monitoring.alertPolicies.{get,list}
roles/monitoring.alertPolicyEditor | Monitoring AlertPolicy Editor | roles/monitoring.alertPolicyViewer monitoring.alertPolicies.{create,delete,update}
roles/monitoring.notificationChannelViewer | Monitoring NotificationChannel Viewer | monitoring.notificationChannelDescriptors.{get,list} monitoring.notificationChannels.{get,list}
roles/monitoring.notificationChannelEditor | Monitoring NotificationChannel Editor | roles/monitoring.notificationChannelViewer monitoring.notificationChannels.{create,delete,getVerificationCode,sendVerificationCode,update,verify}
roles/monitoring.admin | Monitoring Admin | roles/monitoring.editor
roles/cloudtrace.agent | Cloud Trace Agent | cloudtrace.traces.patch
roles/cloudscheduler.viewer | Cloud Scheduler Viewer | cloudscheduler.{jobs,locations}.{get,list} resourcemanager.projects.{get,list}
roles/cloudscheduler.jobRunner | Cloud Scheduler Job Runner | cloudscheduler.jobs.{fullView,run} resourcemanager.projects.{get,list}
roles/cloudscheduler.admin | Cloud Scheduler Admin | roles/cloudscheduler.viewer roles/cloudscheduler.jobRunner cloudscheduler.jobs.{create,delete,enable,pause,update}
roles/pubsub.publisher | Pub/Sub Publisher | pubsub.topics.publish
roles/pubsub.subscriber | Pub/Sub Subscriber | pubsub.snapshots.seek pubsub.subscriptions.consume pubsub.topics.attachSubscription
roles/pubsub.viewer | Pub/Sub Viewer | pubsub.{schemas,snapshots,subscriptions,topics}.{get,list} pubsub.schemas.{listRevisions,validate} resourcemanager.projects.{get,list}
roles/pubsub.editor | Pub/Sub Editor | roles/pubsub.publisher roles/pubsub.subscriber roles/pubsub.viewer pubsub.{schemas,snapshots,subscriptions,topics}.{create,delete,update} pubsub.schemas.{attach,commit,rollback} pubsub.topics.detachSubscription
roles/pubsub.admin | Pub/Sub Admin | roles/pubsub.editor pubsub.{schemas,snapshots,subscriptions,topics}.{getIamPolicy,setIamPolicy}
roles/pubsub.serviceAgent | Cloud Pub/Sub Service Agent | iam.serviceAccounts.getOpenIdToken resourcemanager.projects.get serviceusage.services.use
roles/cloudsql.client | Cloud SQL Client | cloudsql.instances.{connect,get}
roles/cloudsql.instanceUser | Cloud SQL Instance User | cloudsql.instances.{get,login}
roles/cloudsql.viewer | Cloud SQL Viewer | cloudsql.{backupRuns,databases,instances,sslCerts,users}.{get,list} resourcemanager.projects.{get,list}
roles/cloudsql.editor | Cloud SQL Editor | roles/cloudsql.client roles/cloudsql.viewer cloudsql.backupRuns.create cloudsql.databases.{create,update} cloudsql.instances.{export,restart,update}
roles/cloudsql.admin | Cloud SQL Admin | roles/cloudsql.editor roles/cloudsql.instanceUser cloudsql.backupRuns.delete cloudsql.instances.{import,restoreBackup} cloudsql.{databases,instances,users}.{create,delete,update}
roles/artifactregistry.reader | Artifact Registry Reader | artifactregistry.{dockerimages,files,locations,packages,repositories,tags,versions}.{get,list} artifactregistry.repositories.downloadArtifacts
roles/artifactregistry.writer | Artifact Registry Writer | roles/artifactregistry.reader artifactregistry.repositories.uploadArtifacts artifactregistry.tags.{create,update} artifactregistry.{packages,versions}.update
roles/artifactregistry.repoAdmin | Artifact Registry Repository Administrator | roles/artifactregistry.writer artifactregistry.{packages,tags,versions}.delete artifactregistry.repositories.deleteArtifacts
roles/artifactregistry.admin | Artifact Registry Administrator | roles/artifactregistry.repoAdmin artifactregistry.repositories.{create,delete,getIamPolicy,setIamPolicy,update}
roles/cloudkms.cryptoKeyEncrypter | Cloud KMS CryptoKey Encrypter | cloudkms.cryptoKeyVersions.useToEncrypt cloudkms.locations.{get,list} resourcemanager.projects.get
roles/cloudkms.cryptoKeyDecrypter | Cloud KMS CryptoKey Decrypter | cloudkms.cryptoKeyVersions.useToDecrypt cloudkms.locations.{get,list} resourcemanager.projects.get
roles/cloudkms.cryptoKeyEncrypterDecrypter | Cloud KMS CryptoKey Encrypter/Decrypter | roles/cloudkms.cryptoKeyEncrypter roles/cloudkms.cryptoKeyDecrypter
roles/cloudkms.publicKeyViewer | Cloud KMS CryptoKey Public Key Viewer | cloudkms.cryptoKeyVersions.viewPublicKey cloudkms.locations.{get,list} resourcemanager.projects.get
roles/cloudkms.signer | Cloud KMS CryptoKey Signer | cloudkms.cryptoKeyVersions.useToSign cloudkms.locations.{get,list} resourcemanager.projects.get
roles/cloudkms.verifier | Cloud KMS CryptoKey Verifier | cloudkms.cryptoKeyVersions.useToVerify cloudkms.locations.{get,list} resourcemanager.projects.get
roles/cloudkms.signerVerifier | Cloud KMS CryptoKey Signer/Verifier | roles/cloudkms.signer roles/cloudkms.verifier cloudkms.cryptoKeyVersions.viewPublicKey
roles/cloudkms.expertRawAesCbc | Cloud KMS Expert Raw AES-CBC Key Manager | cloudkms.cryptoKeyVersions.manageRawAesCbcKeys cloudkms.locations.{get,list}
roles/cloudkms.expertRawAesCtr | Cloud KMS Expert Raw AES-CTR Key Manager | cloudkms.cryptoKeyVersions.manageRawAesCtrKeys cloudkms.locations.{get,list}
roles/cloudkms.viewer | Cloud KMS Viewer | cloudkms.{cryptoKeyVersions,cryptoKeys,keyRings,locations,retiredResources}.{get,list} cloudkms.operations.get resourcemanager.projects.get
roles/cloudkms.cryptoOperator | Cloud KMS Crypto Operator | roles/cloudkms.cryptoKeyEncrypterDecrypter roles/cloudkms.signerVerifier cloudkms.locations.generateRandomBytes
roles/cloudkms.admin | Cloud KMS Admin | roles/cloudkms.viewer cloudkms.cryptoKeyVersions.{create,delete,destroy,restore,update} cloudkms.{cryptoKeys,keyRings}.{create,getIamPolicy,setIamPolicy} cloudkms.cryptoKeys.{delete,update}
roles/compute.viewer | Compute Viewer | compute.{addresses,globalAddresses,globalOperations,networks,regionOperations,regions,routers,routes,subnetworks,zones}.{get,list} resourcemanager.projects.{get,list} serviceusage.{services.get,services.list}
roles/compute.networkViewer | Compute Network Viewer | compute.{addresses,globalAddresses,networks,regions,routers,routes,subnetworks,zones}.{get,list} resourcemanager.projects.{get,list}
roles/compute.networkAdmin | Compute Network Admin | roles/compute.networkViewer compute.{globalOperations,regionOperations}.{get,list} compute.globalAddresses.{create,delete,setLabels,use} compute.networks.{create,delete,update,updatePolicy,use} compute.{routers,subnetworks}.{create,delete,update,use} compute.routes.{create,delete} compute.subnetworks.{expandIpCidrRange,setPrivateIpGoogleAccess} servicenetworking.services.{addPeering,deleteConnection,get}
roles/servicenetworking.networksAdmin | Service Networking Admin | servicenetworking.services.{addPeering,deleteConnection,get}
roles/billing.costsManager | Billing Account Costs Manager | billing.budgets.{create,delete,get,list,update}
roles/binaryauthorization.policyViewer | Binary Authorization Policy Viewer | binaryauthorization.policy.get resourcemanager.projects.{get,list}
roles/binaryauthorization.policyEditor | Binary Authorization Policy Editor | roles/binaryauthorization.policyViewer binaryauthorization.policy.update
roles/storage.objectViewer | Storage Object Viewer | storage.folders.{get,list} storage.managedFolders.{get,list} storage.objects.{get,list} resourcemanager.projects.{get,list}
roles/storage.objectCreator | Storage Object Creator | storage.folders.create storage.managedFolders.create storage.objects.create resourcemanager.projects.{get,list}
roles/storage.objectUser | Storage Object User | roles/storage.objectViewer roles/storage.objectCreator storage.objects.{delete,restore,update}
roles/storage.objectAdmin | Storage Object Admin | roles/storage.objectUser storage.objects.{getIamPolicy,overrideUnlockedRetention,setIamPolicy,setRetention}
roles/storage.bucketViewer | Storage Bucket Viewer | storage.buckets.{get,list}
roles/storage.legacyObjectReader | Storage Legacy Object Reader | storage.objects.get
roles/storage.legacyObjectOwner | Storage Legacy Object Owner | storage.objects.{get,getIamPolicy,setIamPolicy,update}
roles/storage.legacyBucketReader | Storage Legacy Bucket Reader | storage.buckets.get storage.objects.list
roles/storage.legacyBucketWriter | Storage Legacy Bucket Writer | roles/storage.legacyBucketReader storage.objects.{create,delete}
roles/storage.legacyBucketOwner | Storage Legacy Bucket Owner | roles/storage.legacyBucketWriter storage.buckets.{getIamPolicy,setIamPolicy,update}
roles/storage.admin | Storage Admin | roles/storage.objectAdmin roles/storage.bucketViewer storage.buckets.{create,delete,getIamPolicy,setIamPolicy,update}
roles/serviceusage.serviceUsageConsumer | Service Usage Consumer | serviceusage.{operations.get,operations.list,quotas.get,services.get,services.list,services.use}
roles/serviceusage.serviceUsageViewer | Service Usage Viewer | serviceusage.{operations.get,operations.list,quotas.get,services.get,services.list}
roles/serviceusage.serviceUsageAdmin | Service Usage Admin | roles/serviceusage.serviceUsageConsumer serviceusage.operations.{cancel,delete} serviceusage.services.{disable,enable}
roles/browser | Browser | resourcemanager.projects.{get,getIamPolicy,list}
roles/viewer | Viewer | storage.buckets.list roles/compute.viewer roles/cloudkms.viewer roles/cloudtasks.viewer roles/run.viewer roles/iam.serviceAccountViewer roles/iam.roleViewer secretmanager.{secrets,versions}.{get,list} roles/logging.viewer roles/monitoring.viewer roles/cloudscheduler.viewer roles/pubsub.viewer roles/cloudsql.viewer roles/artifactregistry.reader roles/serviceusage.serviceUsageViewer
roles/editor | Editor | roles/viewer storage.buckets.{create,delete} roles/compute.networkAdmin roles/cloudtasks.admin roles/run.developer roles/iam.serviceAccountUser roles/logging.logWriter roles/monitoring.editor roles/cloudscheduler.admin roles/pubsub.editor roles/cloudsql.admin roles/artifactregistry.repoAdmin roles/serviceusage.serviceUsageAdmin secretmanager.secrets.{create,delete,update} secretmanager.versions.{add,destroy,disable,enable}
roles/owner | Owner | *
"""  # noqa: E501
