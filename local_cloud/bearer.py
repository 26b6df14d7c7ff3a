"""The Authorization header of calls that the cloud makes for a service account: tasks, pushes.

Owns whose token may be made; making it is the identity's. Who may have an account named in a task or a subscription was
asked when it was named.
"""

import zlib

from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.engines.attempt import Identity
from local_cloud.engines.ports import SigningError


def bearer(cloud: Cloud, identity: Identity) -> str:
    """`Bearer ...`, cached by the identity while it is good; SigningError says why there is none."""
    account = cloud.iam.accounts.find(identity.email)
    if account is None and cloud.iam.mode == "off":  # nobody asks who is who
        unique_id = str(10**20 + zlib.crc32(identity.email.encode()))
        account = message("google.iam.admin.v1.ServiceAccount")(email=identity.email, unique_id=unique_id)
    if account is None:
        raise SigningError(f"service account {identity.email} does not exist")
    if account.disabled:
        raise SigningError(f"service account {identity.email} is disabled")
    if identity.audience:
        return "Bearer " + cloud.identity.id_token(account.email, account.unique_id, identity.audience)
    member = f"serviceAccount:{account.email}"
    return "Bearer " + cloud.identity.access_token(member, scopes=(identity.scope,)).token
