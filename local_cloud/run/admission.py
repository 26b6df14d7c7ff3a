"""Who may come in at the front door: ID tokens, their audiences, and run.routes.invoke on the service.

Source: https://cloud.google.com/run/docs/authenticating/service-to-service and .../configuring/custom-audiences.
"""

from dataclasses import dataclass

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.registry import ANONYMOUS, Principal
from local_cloud.run import names, pages


@dataclass(frozen=True)
class Refusal:
    """Why a request is not let in: the status, the log's sentence and what helps."""

    status: int
    log: str
    hint: str


def admit(cloud: Cloud, service: Message, headers: dict[bytes, bytes]) -> Refusal | None:
    """None when the request may go on."""
    if service.invoker_iam_disabled:
        return None
    # Where the first header is present it alone counts, even when it is empty; the other is the service's business.
    given = headers.get(b"x-serverless-authorization", headers.get(b"authorization", b""))
    kind, _, token = given.decode("latin-1").partition(" ")
    token = token.strip() if kind.lower() == "bearer" else ""
    if cloud.iam.allows(ANONYMOUS, "run.routes.invoke", service.name):
        return None  # as on Google, a service that is open to all does not look at tokens
    principal, why = (_principal(cloud, service, token)) if token else (None, "")
    if principal is None and token:
        return Refusal(401, pages.INVALID_TOKEN.format(why=why), why)
    caller = principal or ANONYMOUS
    decision = cloud.iam.decide(caller, "run.routes.invoke", service.name)
    cloud.log.decision(decision)
    if decision.granted or not decision.enforced:
        return None
    hint = decision.fix.sentence if decision.fix else ""
    if principal is None:
        hint = f"The request had no ID token. {hint}"
    return Refusal(403, pages.NOT_AUTHORIZED if principal else pages.NOT_AUTHENTICATED, hint)


def _principal(cloud: Cloud, service: Message, token: str) -> tuple[Principal | None, str]:
    claims = cloud.identity.verify_id_token(token)
    if claims is None:
        return None, "It is no ID token that this cloud has signed, or it has expired."
    audience = str(claims.get("aud", ""))
    if not fits(cloud, service, audience):
        wanted = names.url(cloud, service.name)
        return None, f"Its audience is {audience}, but that of the service is {wanted}."
    email = str(claims.get("email", ""))
    if not email:
        account = cloud.iam.accounts.find(str(claims.get("sub", "")))
        email = account.email if account is not None else ""
    if email.endswith(f"@{cloud.iam.accounts.domain}") and cloud.iam.accounts.find(email) is None:
        return None, f"The service account {email} does not exist."
    kind = "serviceAccount" if email.endswith(".gserviceaccount.com") else "user"
    return Principal(f"{kind}:{email}"), ""


def fits(cloud: Cloud, service: Message, audience: str) -> bool:
    """Whether a token's audience is the service: its URL (or one below it), a tag's, or a custom audience."""
    if audience in service.custom_audiences:
        return True
    tags = ["", *(target.tag for target in service.traffic if target.tag)]
    bases = [names.url(cloud, service.name, tag) for tag in tags]
    return any(audience == base or audience.startswith(f"{base}/") for base in bases)
