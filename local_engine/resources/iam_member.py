"""IAM members: one member in one role of one thing's policy."""

from __future__ import annotations

from typing import ClassVar

from ..cloud import JsonObject
from ..policy_part import (
    CONDITION,
    OfAccount,
    OfBucket,
    OfCryptoKey,
    OfProject,
    OfQueue,
    OfRepository,
    OfRunJob,
    OfRunService,
    OfSecret,
    OfSubscription,
    OfTopic,
    PolicyPart,
    bindings,
    fresh,
    place,
    title,
)
from ..resource_type import Inputs, templated
from ..shapes import Shape, name_part, required

_MEMBER: Shape = {"member": required(name_part()), "role": required(name_part()), "condition": CONDITION}


class IamMember(PolicyPart):
    """One member in one role."""

    def identity(self, inputs: Inputs) -> str:
        """Thing, role, member, as the provider writes it."""
        thing = self.path(inputs)
        return templated(f"{thing}/{{role}}/{{member}}", inputs) + title(inputs) if thing else ""

    def found(self, policy: JsonObject, inputs: Inputs) -> JsonObject | None:
        """Whether the policy has the member."""
        return {} if any(inputs["member"] in of["members"] for of in bindings(policy, inputs)) else None

    def add(self, policy: JsonObject, inputs: Inputs) -> bool:
        """Into the binding of the role, or a new one."""
        if self.found(policy, inputs) is not None:
            return False
        if standing := bindings(policy, inputs):
            standing[0]["members"] = sorted({*standing[0]["members"], inputs["member"]})
        else:
            policy["bindings"] = [*policy.get("bindings", ()), fresh(inputs, [inputs["member"]])]
        return True

    def remove(self, policy: JsonObject, inputs: Inputs) -> bool:
        """Out of every binding of the role; those that are empty then go with it."""
        standing = [of for of in bindings(policy, inputs) if inputs["member"] in of["members"]]
        for of in standing:
            of["members"] = [member for member in of["members"] if member != inputs["member"]]
        policy["bindings"] = [of for of in policy.get("bindings", ()) if of["members"]]
        return bool(standing)


class ProjectMember(OfProject, IamMember):
    """A member of the project's policy."""

    token = "gcp:projects/iAMMember:IAMMember"
    inputs: ClassVar[Shape] = {**place("project"), **_MEMBER}

    def identity(self, inputs: Inputs) -> str:
        """Without the collection, as the provider writes it."""
        return super().identity(inputs).removeprefix("projects/")


class AccountMember(OfAccount, IamMember):
    """A member of a service account's policy."""

    token = "gcp:serviceaccount/iAMMember:IAMMember"
    inputs: ClassVar[Shape] = {**place("serviceAccountId"), **_MEMBER}


class QueueMember(OfQueue, IamMember):
    """A member of a queue's policy."""

    token = "gcp:cloudtasks/queueIamMember:QueueIamMember"
    inputs: ClassVar[Shape] = {"name": name_part(), "location": name_part(), "project": name_part(), **_MEMBER}


class RunServiceMember(OfRunService, IamMember):
    """A member of a Cloud Run service's policy."""

    token = "gcp:cloudrunv2/serviceIamMember:ServiceIamMember"
    inputs: ClassVar[Shape] = {"name": name_part(), "location": name_part(), "project": name_part(), **_MEMBER}


class RunJobMember(OfRunJob, IamMember):
    """A member of a Cloud Run job's policy."""

    token = "gcp:cloudrunv2/jobIamMember:JobIamMember"
    inputs: ClassVar[Shape] = {"name": name_part(), "location": name_part(), "project": name_part(), **_MEMBER}


class SecretMember(OfSecret, IamMember):
    """A member of a secret's policy."""

    token = "gcp:secretmanager/secretIamMember:SecretIamMember"
    inputs: ClassVar[Shape] = {**place("secretId", "project"), **_MEMBER}


class RepositoryMember(OfRepository, IamMember):
    """A member of a repository's policy."""

    token = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
    inputs: ClassVar[Shape] = {**place("repository", "location", "project"), **_MEMBER}


class TopicMember(OfTopic, IamMember):
    """A member of a topic's policy."""

    token = "gcp:pubsub/topicIAMMember:TopicIAMMember"
    inputs: ClassVar[Shape] = {**place("topic", "project"), **_MEMBER}


class SubscriptionMember(OfSubscription, IamMember):
    """A member of a subscription's policy."""

    token = "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember"
    inputs: ClassVar[Shape] = {**place("subscription", "project"), **_MEMBER}


class CryptoKeyMember(OfCryptoKey, IamMember):
    """A member of a key's policy."""

    token = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"
    inputs: ClassVar[Shape] = {**place("cryptoKeyId"), **_MEMBER}


class BucketMember(OfBucket, IamMember):
    """A member of a bucket's policy."""

    token = "gcp:storage/bucketIAMMember:BucketIAMMember"
    inputs: ClassVar[Shape] = {**place("bucket"), **_MEMBER}
