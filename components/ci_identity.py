"""Who a pipeline's jobs are: GitHub's tokens are exchanged for one of two accounts, and nobody has a key.

The previewer looks, for jobs of pull requests and of the deployed branch. The deployer applies the app's layer, for
jobs that GitHub's environment of the same name has let through, which is where a person approves. The foundation, these
accounts among it, is applied by a person (docs/adr/ci-identity.md). The bucket and the key of Pulumi's state are made
before everything else, by hand, and are here only bound.

Sources: https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines and
https://cloud.google.com/iam/docs/setting-limits-on-granting-roles.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import iam, projects

from components import ci_permissions
from components.service_account import ServiceAccount, ServiceAccountConfig
from components.site import Site
from spec import names
from spec.ci import ISSUER, Ci
from spec.service import PROJECT_ROLES

#: A holder of the subject becomes the account.
FEDERATED = "roles/iam.workloadIdentityUser"
#: Changes the project's policy, here only as far as the short list of roles goes.
POLICY_ADMIN = "roles/resourcemanager.projectIamAdmin"
IMAGE_WRITER = "roles/artifactregistry.writer"
#: On the bucket of the rollout record alone: what is in it, and who reads it.
ROLLOUT_READER, ROLLOUT_WRITER = "roles/storage.objectViewer", "roles/storage.admin"
STATE_READER, STATE_WRITER = "roles/storage.objectViewer", "roles/storage.objectUser"
KEY_READER, KEY_WRITER = "roles/cloudkms.cryptoKeyDecrypter", "roles/cloudkms.cryptoKeyEncrypterDecrypter"


@dataclass(frozen=True, kw_only=True)
class CiIdentityConfig:
    """Whose jobs, in which project."""

    site: Site
    spec: Ci
    project_number: str
    #: The image repository, into which the deployer pushes.
    repository: pulumi.Input[str]
    #: The bucket of the rollout record, whose object and readers an apply changes.
    rollout_bucket: pulumi.Input[str]


class CiIdentity(pulumi.ComponentResource):
    """A pool, its provider and two accounts."""

    #: What a workflow names: the provider by its full name, and the accounts' addresses.
    provider: str
    previewer: pulumi.Output[str]
    deployer: pulumi.Output[str]

    def __init__(self, name: str, config: CiIdentityConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:CiIdentity", name, None, opts)
        self._site, self._spec = config.site, config.spec
        pool = names.ci_pool(config.project_number)
        self.provider = names.ci_provider(config.project_number)
        self._federation()
        previewer = self._account(names.PREVIEWER_ACCOUNT_ID, "Jobs that preview and look for drift")
        deployer = self._account(names.DEPLOYER_ACCOUNT_ID, "Jobs that apply the app's layer")
        for what, subject in zip(("pull-request", "branch"), config.spec.previews(), strict=True):
            self._federated(f"{names.PREVIEWER_ACCOUNT_ID}-{what}", previewer, pool, subject)
        self._federated(names.DEPLOYER_ACCOUNT_ID, deployer, pool, config.spec.deploys(config.site.env))
        self._role(names.PREVIEWER_ROLE_ID, "Preview", "Reads what a preview reads.", ci_permissions.read(), previewer)
        self._role(names.DEPLOYER_ROLE_ID, "Deploy", "Applies the app's layer.", ci_permissions.change(), deployer)
        self._limited_policy_admin(deployer)
        self._on_state(previewer, STATE_READER, KEY_READER)
        self._on_state(deployer, STATE_WRITER, KEY_WRITER)
        for account_id, account, role in (
            (names.PREVIEWER_ACCOUNT_ID, previewer, ROLLOUT_READER),
            (names.DEPLOYER_ACCOUNT_ID, deployer, ROLLOUT_WRITER),
        ):
            gcp.storage.BucketIAMMember(
                f"{account_id}-rollout",
                bucket=config.rollout_bucket,
                role=role,
                member=account.member,
                opts=self._child,
            )
        gcp.artifactregistry.RepositoryIamMember(
            f"{names.DEPLOYER_ACCOUNT_ID}-images",
            repository=config.repository,
            location=self._site.region,
            project=self._site.project,
            role=IMAGE_WRITER,
            member=deployer.member,
            opts=self._child,
        )
        self.previewer, self.deployer = previewer.email, deployer.email
        self.register_outputs({"provider": self.provider})

    @property
    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)

    def _federation(self) -> None:
        """A pool's id is blocked for 30 days after its deletion."""
        pool = gcp.iam.WorkloadIdentityPool(
            names.CI_POOL,
            workload_identity_pool_id=names.CI_POOL,
            project=self._site.project,
            display_name="Sluice's pipelines",
            description="Jobs that preview and deploy",
            opts=self._site.guarded(self),
        )
        gcp.iam.WorkloadIdentityPoolProvider(
            names.CI_PROVIDER,
            workload_identity_pool_id=pool.workload_identity_pool_id,
            workload_identity_pool_provider_id=names.CI_PROVIDER,
            project=self._site.project,
            display_name="GitHub Actions",
            description=f"Jobs of {self._spec.repository}",
            attribute_mapping={
                "google.subject": "assertion.sub",
                "attribute.repository": "assertion.repository",
                "attribute.ref": "assertion.ref",
            },
            attribute_condition=self._spec.condition(),
            oidc=iam.WorkloadIdentityPoolProviderOidcArgs(issuer_uri=ISSUER),
            opts=self._site.guarded(self),
        )

    def _account(self, account_id: str, description: str) -> ServiceAccount:
        config = ServiceAccountConfig(site=self._site, account_id=account_id, description=description)
        return ServiceAccount(account_id, config, self._child)

    def _federated(self, name: str, account: ServiceAccount, pool: str, subject: str) -> None:
        gcp.serviceaccount.IAMMember(
            f"{name}-federated",
            service_account_id=account.path,
            role=FEDERATED,
            member=f"principal://iam.googleapis.com/{pool}/subject/{subject}",
            opts=self._child,
        )

    def _role(self, role_id: str, title: str, what: str, permissions: tuple[str, ...], holder: ServiceAccount) -> None:
        role = gcp.projects.IAMCustomRole(
            role_id,
            role_id=role_id,
            project=self._site.project,
            title=title,
            description=what,
            permissions=list(permissions),
            stage="GA",
            opts=self._child,
        )
        gcp.projects.IAMMember(
            role_id, project=self._site.project, role=role.name, member=holder.member, opts=self._child
        )

    def _limited_policy_admin(self, deployer: ServiceAccount) -> None:
        """The few roles that exist only on the whole project, and no other, may be given and taken."""
        roles = ", ".join(f"'{role}'" for role in sorted(PROJECT_ROLES))
        gcp.projects.IAMMember(
            f"{names.DEPLOYER_ACCOUNT_ID}-policy",
            project=self._site.project,
            role=POLICY_ADMIN,
            member=deployer.member,
            condition=projects.IAMMemberConditionArgs(
                title="short-list",
                description="Gives and takes only roles that exist on no smaller resource",
                expression=f"api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly([{roles}])",
            ),
            opts=self._child,
        )

    def _on_state(self, account: ServiceAccount, bucket_role: str, key_role: str) -> None:
        short = bucket_role.rpartition(".")[2]
        if self._spec.state_bucket:
            gcp.storage.BucketIAMMember(
                f"state-{short}",
                bucket=self._spec.state_bucket,
                role=bucket_role,
                member=account.member,
                opts=self._child,
            )
        if self._spec.state_key:
            gcp.kms.CryptoKeyIAMMember(
                f"state-key-{short}",
                crypto_key_id=self._spec.state_key,
                role=key_role,
                member=account.member,
                opts=self._child,
            )
