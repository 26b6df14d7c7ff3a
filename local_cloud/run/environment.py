"""What an instance finds in its environment: what was declared, secrets read with its own account, the platform's own.

Secrets are read at each start, so `latest` is the newest version then, and a permission that was taken away fails it.
Sources: https://cloud.google.com/run/docs/container-contract, .../configuring/services/secrets.
"""

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.instances import StartError
from local_cloud.errors import ApiError
from local_cloud.registry import Principal
from local_cloud.run.rules import serving_container
from local_cloud.secrets import Secrets


class SecretError(StartError):
    """A secret that the revision refers to may not be read, or is not there."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


def secret_name(cloud: Cloud, reference: str) -> str:
    """The full name of a secret given by its id or by its name."""
    return cloud.canonical(reference) if "/" in reference else f"projects/{cloud.project}/secrets/{reference}"


def read_secret(cloud: Cloud, secret: str, version: str, account: str) -> bytes:
    """A secret's payload as the revision's account may read it; SecretError in Cloud Run's words."""
    secrets = cloud.use(Secrets)
    name = f"{secret_name(cloud, secret)}/versions/{version}"
    shown = secrets.shown(name)
    principal = Principal(f"serviceAccount:{account}")
    decision = cloud.iam.decide(principal, "secretmanager.versions.access", name)
    cloud.log.decision(decision)
    if not decision.granted and decision.enforced:
        hint = f" {decision.fix.sentence}" if decision.fix else ""
        raise SecretError(
            f"Permission denied on secret: {shown} for Revision service account {account}. The service account used "
            "must be granted the 'Secret Manager Secret Accessor' role (roles/secretmanager.secretAccessor) at the "
            f"secret, project or higher level.{hint}",
            "PERMISSION_DENIED",
        )
    try:
        return secrets.access(name)[1]
    except ApiError as error:
        text = f"Secret {shown} was not found" if error.code == "NOT_FOUND" else error.text
        raise SecretError(text, error.code) from None


def declared(cloud: Cloud, container: Message | None, account: str) -> dict[str, str]:
    """The variables that the template gives a container, with secrets as `account` may read them now."""
    made: dict[str, str] = {}
    for variable in container.env if container is not None else ():
        if variable.HasField("value_source"):
            reference = variable.value_source.secret_key_ref
            payload = read_secret(cloud, reference.secret, reference.version, account)
            made[variable.name] = payload.decode("utf-8", "surrogateescape")
        else:
            made[variable.name] = variable.value
    return made


def environment(
    cloud: Cloud, service_id: str, revision_id: str, revision: Message, metadata: dict[str, str]
) -> dict[str, str]:
    """All variables of one instance; the platform's own win."""
    platform = {"K_SERVICE": service_id, "K_REVISION": revision_id, "K_CONFIGURATION": service_id}
    return declared(cloud, serving_container(revision), revision.service_account) | metadata | platform
