"""One queue with everything that it takes to use it, and nothing more.

Owns the queue, the account whose token its dispatches show, and what senders need: creating tasks on this queue
alone, and acting as that account. Its right to call the receiver is the receiver's (``run_service``).

A queue is made paused, since a binding takes minutes to be in force everywhere; `sluice queues resume --probe` starts
it. Afterwards its state is the operator's alone: no apply pauses or resumes a queue that is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import cloudtasks

from components.service_account import ServiceAccount, ServiceAccountConfig
from components.site import Site
from spec import TaskQueue as TaskQueueSpec
from spec import names
from spec.permissions import ACT_AS
from spec.unprotect import word


@dataclass(frozen=True, kw_only=True)
class TaskQueueConfig:
    """The edge, and the accounts at its tail."""

    site: Site
    spec: TaskQueueSpec
    #: The role that may create tasks and nothing else.
    creator_role: pulumi.Input[str]
    #: Service -> its account.
    senders: Mapping[str, ServiceAccount]


class TaskQueue(pulumi.ComponentResource):
    """A queue, its invoker and its senders' permissions."""

    #: The account whose token the queue's dispatches show.
    invoker: ServiceAccount
    path: pulumi.Output[str]

    def __init__(self, name: str, config: TaskQueueConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:TaskQueue", name, None, opts)
        spec, site = config.spec, config.site
        account_id = names.invoker_account_id(spec.name)
        self.invoker = ServiceAccount(
            account_id,
            ServiceAccountConfig(site=site, account_id=account_id, description=f"Dispatches of {spec.name}"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        queue = gcp.cloudtasks.Queue(
            name,
            name=spec.name,
            location=site.region,
            project=site.project,
            desired_state="PAUSED",
            rate_limits=cloudtasks.QueueRateLimitsArgs(
                max_dispatches_per_second=spec.rate.dispatches_per_second,
                max_concurrent_dispatches=spec.rate.concurrent,
            ),
            retry_config=cloudtasks.QueueRetryConfigArgs(
                max_attempts=spec.retry.max_attempts,
                max_retry_duration=spec.retry.task_age_limit.google,
                min_backoff=spec.retry.min_backoff.google,
                max_backoff=spec.retry.max_backoff.google,
                max_doublings=spec.retry.max_doublings,
            ),
            stackdriver_logging_config=cloudtasks.QueueStackdriverLoggingConfigArgs(sampling_ratio=1),
            opts=pulumi.ResourceOptions.merge(
                site.guarded(self, word("tasks", spec.name)), pulumi.ResourceOptions(ignore_changes=["desiredState"])
            ),
        )
        for sender, account in sorted(config.senders.items()):
            gcp.cloudtasks.QueueIamMember(
                f"{name}-{sender}-create",
                name=queue.name,
                location=site.region,
                project=site.project,
                role=config.creator_role,
                member=account.member,
                opts=pulumi.ResourceOptions(parent=self),
            )
            gcp.serviceaccount.IAMMember(
                f"{name}-{sender}-act-as",
                service_account_id=self.invoker.path,
                role=ACT_AS,
                member=account.member,
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.path = queue.id
        self.register_outputs({"path": self.path})
