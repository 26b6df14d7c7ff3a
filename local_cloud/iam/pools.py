"""What is kept of workload identity pools and their providers, and which of them count.

Owns the documents; the API that changes them is apis/iam_pools.py. A disabled or deleted provider exchanges nothing
more; of a disabled or deleted pool the tokens that it gave do not count either, until it is back.
Source: https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools (disabled).
"""

from typing import TYPE_CHECKING

from local_cloud.iam.federation import Json, unusable

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

#: What the members begin with that federated identities are.
FEDERATED = "principal://iam.googleapis.com/"


class Pools:
    """Pools and providers by name, with the project's number as Google shows them."""

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud
        self.pools = cloud.store.json("iam.pools")
        self.providers = cloud.store.json("iam.providers")

    def find(self, name: str) -> Json:
        """A pool or a provider, deleted or not; NOT_FOUND when it is not or no longer kept."""
        kept = self.providers if "/providers/" in name else self.pools
        found = kept.get(name)
        if found is None or found.get("gone", self._cloud.now() + 1) <= self._cloud.now():
            raise unusable(name)
        made: Json = found
        return made

    def usable(self, name: str) -> Json | None:
        """A provider that exchanges tokens, its pool too."""
        try:
            provider, pool = self.find(name), self.find(name.partition("/providers/")[0])
        except Exception:  # a name of whatever form that is nobody's
            return None
        return None if any(one.get("disabled") or "gone" in one for one in (provider, pool)) else provider

    def trusts(self, member: str) -> bool:
        """Whether the pool of a federated identity, such as principal://.../subject/S, is there and not disabled."""
        pool = self.pools.get(member.removeprefix(FEDERATED).partition("/subject/")[0])
        return pool is not None and not pool.get("disabled") and "gone" not in pool
