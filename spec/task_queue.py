"""The model of queue_configs/tasks/<queue>.yaml: one edge of the drawing, with its rate and its retries.

Owns the defaults of a queue and the ranges that Google enforces at apply. Leaves to the checks what needs a second file
(services, messages) or the retry timeline.

Source: the references of `google.cloud.tasks.v2` RateLimits, RetryConfig and Task.dispatch_deadline; the wording of
Google's refusals is from the conformance record of the real service.
"""

from __future__ import annotations

from itertools import islice
from typing import Literal, Self

from pydantic import field_validator, model_validator

from local_cloud.engines.backoff import LONGEST_RETRY, UNLIMITED_ATTEMPTS, RetryPolicy, timeline
from spec.durations import Duration
from spec.errors import Refused
from spec.model import Model, Named, Quantity, Whole, field
from spec.token import Token

#: Google's ceiling of dispatches per second for one queue.
MOST_DISPATCHES_PER_SECOND = 500

#: Google's ceiling of concurrent dispatches for one queue.
MOST_CONCURRENT = 5000

#: The range of a task's dispatch deadline for HTTP targets.
SHORTEST_DEADLINE = Duration.parse("15s")
LONGEST_DEADLINE = Duration.parse("30m")

#: A queue that names no rate sends so many tasks a second: what an outside API with a quota stands.
DEFAULT_DISPATCHES_PER_SECOND = 10.0

#: A queue that names no concurrency has so many requests open at once.
DEFAULT_CONCURRENT = 50

#: A queue that names no attempts tries so often, as Google does.
DEFAULT_MAX_ATTEMPTS = 100

#: The first retry comes a second after the failure, not Google's tenth: payments fail by outages, not by collisions.
DEFAULT_MIN_BACKOFF = Duration.parse("1s")

#: Waits end at a minute, not at Google's hour: when an outage is over, payments go on within a minute.
DEFAULT_MAX_BACKOFF = Duration.parse("60s")

#: Five doublings lead from a second to half a minute.
DEFAULT_MAX_DOUBLINGS = 5

#: By default the age of a task is no limit; then max_attempts alone ends the retries.
DEFAULT_TASK_AGE_LIMIT = Duration.parse("0s")

#: Attempts of one task that are looked at; no sensible queue has more.
MOST_ATTEMPTS = 100_000

#: An attempt that has not answered after a minute is given up and tried again; Google would wait for ten.
DEFAULT_DISPATCH_DEADLINE = Duration.parse("60s")


class Rate(Model):
    """How fast a queue sends."""

    dispatches_per_second: Quantity = field(
        DEFAULT_DISPATCHES_PER_SECOND,
        "Tasks sent each second at most.",
        gt=0,
        le=MOST_DISPATCHES_PER_SECOND,
        breaks='Google refuses the queue: "RateLimits.maxDispatchesPerSecond must be less than or equal to 500." '
        "A rate of 0 would send nothing.",
        fix="write a rate above 0 and up to 500; for more, split the traffic over two queues",
        rule="SL501",
    )
    concurrent: Whole = field(
        DEFAULT_CONCURRENT,
        "Requests open at once at most.",
        ge=1,
        le=MOST_CONCURRENT,
        breaks="Google refuses a queue with more than 5000 concurrent dispatches, and with none nothing is ever sent",
        fix="write a whole number from 1 to 5000",
        rule="SL502",
    )


class Retry(Model):
    """When a failed task is tried again, and when it is given up: only when all limits that count are used up."""

    max_attempts: Whole = field(
        DEFAULT_MAX_ATTEMPTS,
        "Attempts in all, the first among them; -1 takes this limit away. "
        "Retrying stops when task_age_limit has passed too.",
        ge=UNLIMITED_ATTEMPTS,
        le=2**31 - 1,
        breaks='Google refuses less than -1: "RetryConfig.maxAttempts must be greater or equal to -1."',
        fix="write the number of attempts, 1 or more, or -1 for no limit by number",
        rule="SL504",
    )
    min_backoff: Duration = field(
        DEFAULT_MIN_BACKOFF,
        "The wait before the first retry.",
        rule="SL504",
    )
    max_backoff: Duration = field(
        DEFAULT_MAX_BACKOFF,
        "The longest wait between two attempts.",
        rule="SL504",
    )
    max_doublings: Whole = field(
        DEFAULT_MAX_DOUBLINGS,
        "How often the wait doubles before it grows by equal steps.",
        ge=0,
        le=16,
        breaks="Google refuses a queue whose max_doublings is negative, and beyond 16 any wait has met its max_backoff",
        fix="write a whole number from 0 to 16",
        rule="SL504",
    )
    task_age_limit: Duration = field(
        DEFAULT_TASK_AGE_LIMIT,
        "Cloud Tasks' max_retry_duration, from the first attempt; 0s takes this limit away. "
        "Retrying stops when max_attempts are used up too.",
        rule="SL504",
    )

    @property
    def policy(self) -> RetryPolicy:
        """These settings as the retry law takes them."""
        return RetryPolicy(
            max_attempts=self.max_attempts,
            max_retry_duration=self.task_age_limit.seconds,
            min_backoff=self.min_backoff.seconds,
            max_backoff=self.max_backoff.seconds,
            max_doublings=self.max_doublings,
        )

    @field_validator("max_attempts")
    @classmethod
    def _attempts_exist(cls, attempts: int) -> int:
        if attempts == 0:
            raise Refused(
                "0 is not a number of attempts",
                breaks="Google reads 0 as unset and takes 100, which nobody meant",
                fix="write 1 or more, the first attempt counts; or -1 for no limit by number",
            )
        return attempts

    @field_validator("task_age_limit")
    @classmethod
    def _age_is_kept(cls, limit: Duration) -> Duration:
        if limit.seconds > LONGEST_RETRY:
            raise Refused(
                f"{limit} is longer than Google keeps a task",
                breaks="tasks would be gone after 31 days, before the limit",
                fix="write 31d or less, or 0s for no limit by age",
            )
        return limit

    @field_validator("min_backoff")
    @classmethod
    def _backoff_is_some_time(cls, backoff: Duration) -> Duration:
        if backoff.milliseconds == 0:
            raise Refused(
                "0s is no wait",
                breaks="Google reads 0 as unset and takes 0.1s, which nobody meant",
                fix="write the wait that you want before the first retry, 0.1s or more",
            )
        return backoff

    @model_validator(mode="after")
    def _backoff_grows(self) -> Self:
        if self.min_backoff > self.max_backoff:
            raise Refused(
                f"{self.min_backoff} is above max_backoff, which is {self.max_backoff}",
                key="min_backoff",
                breaks='Google refuses the queue at apply: "RetryConfig.minBackoff must be less than or equal to '
                'RetryConfig.maxBackoff."',
                fix=f"lower min_backoff to {self.max_backoff} or less, "
                f"or raise max_backoff to {self.min_backoff} or more",
            )
        return self


class TaskQueue(Named):
    """One edge: who may enqueue, who receives, which message, how fast, how often."""

    senders: tuple[str, ...] = field(
        ...,
        "Services that may enqueue: each gets create-only permission on this queue, and actAs on its invoker account.",
        alias="from",
        min_length=1,
        breaks="nobody could enqueue, so the queue would stand there unused",
        fix="list the services that send, for example from: [gcwebhook]",
    )
    receiver: str = field(
        ...,
        "The service that receives: the queue's invoker account gets run.invoker on it.",
        alias="to",
        min_length=1,
        breaks="tasks would have nowhere to go",
        fix="name a folder of service_code/ that has a service.yaml",
    )
    path: str = field(
        ...,
        "The path at the receiver; it stands in the receiver's handles.",
        pattern=r"^/[A-Za-z0-9._~/-]*$",
        breaks="every dispatch would get a 404 and be retried until it is dropped",
        fix="write an absolute path of letters, digits and . _ ~ - /, as in the receiver's handles",
    )
    message: str = field(
        ...,
        "The message that the queue carries.",
        pattern=r"^[A-Z][A-Za-z0-9]*$",
        breaks="the receiver could not decode what arrives",
        fix="write the class name of the message, as in the receiver's handles",
    )
    rate: Rate = field(Rate(), "How fast the queue sends.")
    retry: Retry = field(Retry(), "When a failed task is tried again.")
    dispatch_deadline: Duration = field(
        DEFAULT_DISPATCH_DEADLINE,
        "How long one attempt may take before it counts as failed, 15s to 30m.",
        rule="SL503",
    )
    token_window: Duration | None = field(
        None,
        "How long the message's token lives from the moment of enqueueing; without it the message does not expire.",
        rule="SL201",
    )
    worker_attempts: Whole | None = field(
        None,
        "Attempts after which the receiver itself gives a message up, where its code counts them.",
        ge=1,
        breaks="the queue could stop before its receiver has counted to the end",
        fix="write the number that the receiver's code has",
    )
    waits_for: Literal["block", "others"] | None = field(
        None,
        "What an attempt may find not to be there yet, by design, and answers 500 to be asked again: a block, or an "
        "exchange or a node of others. Alerts on failed attempts leave such a queue out.",
        breaks="alerts could not tell a wait from a failure",
        fix="write block or others, or leave the key out where every 500 is a failure",
    )
    token: Token = field(Token(), "What is done about a token that may die before its receiver is back.")

    @property
    def lifetime(self) -> Duration | None:
        """How long after its task was made a message may be acted on: its token's life, or all attempts of the task."""
        if self.token.minted == "enqueue":
            return self.token_window
        *_, last = islice(timeline(self.retry.policy), MOST_ATTEMPTS)
        return Duration.of(seconds=last + self.dispatch_deadline.seconds)

    @field_validator("dispatch_deadline")
    @classmethod
    def _deadline_in_range(cls, deadline: Duration) -> Duration:
        if not SHORTEST_DEADLINE <= deadline <= LONGEST_DEADLINE:
            raise Refused(
                f"{deadline} is outside {SHORTEST_DEADLINE} to {LONGEST_DEADLINE}",
                breaks='Google refuses every task: "Task.dispatchDeadline must be between [15s, 30m]."',
                fix="write a deadline from 15s to 30m, not shorter than the receiver's timeout",
            )
        return deadline

    @field_validator("token_window")
    @classmethod
    def _window_is_some_time(cls, window: Duration | None) -> Duration | None:
        if window is not None and window.milliseconds == 0:
            raise Refused(
                "0s lets no message live",
                breaks="every message would be expired when it arrives",
                fix="write how long the token lives, or leave the key out if the message does not expire",
            )
        return window
