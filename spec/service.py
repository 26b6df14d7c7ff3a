"""The model of service_code/<service>/service.yaml: one node of the drawing and what it needs to run.

Owns the defaults of a Cloud Run service and the ranges that Google enforces at apply. What a service may do in the
cloud follows from the queues and secrets that name it; only project-wide roles are listed here, from a short list.

Source: the limits of Cloud Run (cpu and memory, concurrency, request timeout, instances).
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from spec import cron, names
from spec.durations import Duration
from spec.errors import Refused
from spec.model import Flag, Model, Named, Whole, field
from spec.route import Choice, RouteName
from spec.source import scalar_text

#: The only roles that a service may have on the whole project: those that exist on no smaller resource.
PROJECT_ROLES = {
    "roles/cloudsql.client": "connects to the database instance",
    "roles/cloudsql.instanceUser": "logs in to the database as itself",
    "roles/monitoring.metricWriter": "writes metrics",
    "roles/cloudtrace.agent": "writes traces",
}

#: What a service with a database gets of that list without asking.
DATABASE_ROLES = ("roles/cloudsql.client", "roles/cloudsql.instanceUser")

#: Environment variables that the platform and the program set; config must not.
RESERVED_ENV = frozenset(
    {
        "PORT",
        "K_SERVICE",
        "K_REVISION",
        "K_CONFIGURATION",
        "SLUICE_STACK",
        "GCP_PROJECT_ID",
        "GCP_PROJECT_NUMBER",
        "GCP_LOCATION",
        "SERVICE_URL",
        "QUEUES",
        "TOPICS",
        "ROUTES",
        "CALLERS",
        "PUBLIC_MAX_BODY",
        "DATABASE_URL",
        "DATABASE_POOL",
        "ENDPOINTS",
        "ROLLOUT_BUCKET",
        "GCE_METADATA_HOST",
    }
)

#: A public door takes no longer body unsaid: the largest notice of a partner in the documents has a few KiB.
DEFAULT_MAX_BODY = "64KiB"

#: Bytes of a body at most, whatever is said: an instance holds as many of them as requests at once.
LARGEST_BODY = 1024 * 1024

_UNITS = {"KiB": 1024, "MiB": 1024 * 1024}

#: Most memory in MiB by number of CPUs, as Cloud Run has it.
MOST_MEMORY = {1: 4096, 2: 8192, 4: 16384, 6: 24576, 8: 32768}

#: Least memory in MiB for services with many CPUs.
LEAST_MEMORY = {4: 2048, 6: 4096, 8: 4096}

#: Cloud Run's longest request.
LONGEST_TIMEOUT = Duration.parse("1h")

#: A request that has not been answered after this time is cut off; no step of a payment may take longer unsaid.
DEFAULT_TIMEOUT = Duration.parse("30s")

#: Requests that one instance takes at once; the services are asynchronous throughout.
DEFAULT_CONCURRENCY = 80

#: Instances at most, so that a flood cannot exhaust the database's connections.
DEFAULT_MAX_INSTANCES = 2

#: Connections of one instance to the database; a transaction is short, so that few serve many requests.
DEFAULT_POOL = 5

PLAIN_PATH = r"^/[A-Za-z0-9._~/-]*$"
PATH_WITH_PARAMETERS = r"^/([A-Za-z0-9._~/-]|\{[a-z_]+\})*$"

EnvName = Annotated[str, Field(pattern=rf"^{names.ENV_NAME.pattern}$")]
EnvText = Annotated[
    str, BeforeValidator(scalar_text), WithJsonSchema({"type": ["string", "number", "boolean"]}, mode="validation")
]
PlainPath = Annotated[str, Field(pattern=PLAIN_PATH)]
OperatorPath = Annotated[str, Field(pattern=PATH_WITH_PARAMETERS)]
MessageName = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$")]
ScheduleName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$")]


class Resources(Model):
    """What one instance gets."""

    cpu: EnvText = field(
        "1",
        "CPUs: a fraction below 1, or 1, 2, 4, 6 or 8.",
        pattern=r"^(0\.(0[89]|[1-9]\d?)|1|2|4|6|8)$",
        breaks="Cloud Run refuses the revision",
        fix="write 1, 2, 4, 6, 8, or a fraction from 0.08",
        rule="SL701",
    )
    memory: str = field(
        "512Mi",
        "Memory, in Mi or Gi.",
        pattern=r"^[1-9]\d{0,4}(Mi|Gi)$",
        breaks="Cloud Run refuses the revision",
        fix="write a whole number with its unit: 512Mi, 1Gi",
        rule="SL701",
    )

    @property
    def mebibytes(self) -> int:
        """The memory in MiB."""
        return int(self.memory[:-2]) * (1024 if self.memory.endswith("Gi") else 1)

    @model_validator(mode="after")
    def _memory_fits_cpu(self) -> Self:
        cpus = max(1, int(float(self.cpu)))
        least, most = LEAST_MEMORY.get(cpus, 128), MOST_MEMORY[cpus]
        if not least <= self.mebibytes <= most:
            raise Refused(
                f"{self.memory} does not go with {self.cpu} CPU",
                key="memory",
                breaks="Cloud Run refuses the revision",
                fix=f"write {least}Mi to {most}Mi, or change cpu",
            )
        return self


class Scaling(Model):
    """How many instances there may be."""

    min: Whole = field(
        0,
        "Instances kept warm.",
        ge=0,
        le=1000,
        breaks="Cloud Run refuses the service",
        fix="write 0 or more, up to scaling.max",
        rule="SL701",
    )
    max: Whole = field(
        DEFAULT_MAX_INSTANCES,
        "Instances at most.",
        ge=1,
        le=1000,
        breaks="without an instance nothing is served; Cloud Run allows 1000",
        fix="write a whole number from 1 to 1000",
        rule="SL701",
    )

    @model_validator(mode="after")
    def _min_below_max(self) -> Self:
        if self.min > self.max:
            raise Refused(
                f"{self.min} is above scaling.max, which is {self.max}",
                key="min",
                breaks="Cloud Run refuses the service",
                fix=f"lower it to {self.max} or less, or raise scaling.max",
            )
        return self


class Schedule(Model):
    """A path that Cloud Scheduler calls at set times."""

    path: PlainPath = field(
        ...,
        "The path that is called.",
        breaks="every call would get a 404",
        fix="write an absolute path of the service, for example /sweep",
    )
    cron: str = field(..., "When, as unix-cron in UTC: minute, hour, day of month, month, day of week.")
    falls_back: tuple[str, ...] = field(
        (),
        "Queues of the service's own whose tokens the code behind the path follows beyond the window: it sends anew, "
        "until give_up_after, what was not delivered in time or was kept back by a breaker.",
        breaks="a queue's fallback or breaker would have no effect",
        fix="list queues that this schedule's code sends anew, for example [hostpay-execution-queue]",
    )

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, text: str) -> str:
        cron.check(text)
        return text


class Service(Named):
    """One node: its doors, what it reads, and what it needs to run."""

    description: str = field(
        ...,
        "What the service decides, in a sentence.",
        min_length=1,
        breaks="a reader of the drawing would not know what the node does",
        fix="write one sentence",
    )
    public: tuple[PlainPath, ...] = field(
        (),
        "Paths that anybody may call; they verify signatures. One of them makes the whole service reachable, "
        "and the other paths are then guarded by the service itself.",
        breaks="the door would stand at another path than the caller knows",
        fix="write absolute paths, for example [/, /health]",
    )
    max_body: str = field(
        DEFAULT_MAX_BODY,
        "The longest body that a public path takes; more is refused with 413 before it is read.",
        pattern=r"^[1-9]\d{0,3}(KiB|MiB)$",
        breaks="anybody could fill an instance's memory, or a partner's notice would be refused",
        fix=f"write a whole number with its unit, up to 1MiB: {DEFAULT_MAX_BODY}",
    )
    handles: dict[PlainPath, MessageName] = field(
        {},
        "Paths behind a queue, each with the message it takes.",
        breaks="what a queue delivers there would not be understood",
        fix="write /path: MessageName",
    )
    by_reference: tuple[PlainPath, ...] = field(
        (),
        "Handled paths whose message may name a payment by identifiers alone, in the place of its token: "
        "the service reads the row itself.",
        breaks="a queue whose token is minted at delivery would bring what the door does not understand",
        fix="list paths of handles, for example [/hostpay_webhook]",
    )
    schedules: dict[ScheduleName, Schedule] = field(
        {},
        "Calls by Cloud Scheduler, by name.",
        breaks="Cloud Scheduler refuses the job's name",
        fix="write a name in lower case, with digits and hyphens",
    )
    chooses: dict[RouteName, Choice] = field(
        {},
        "Routes on which the service's code chooses, each with the old and the new way that it knows. "
        "Hops need none: every sender chooses on them.",
        breaks="a route would have no effect, or the service would not start without one",
        fix="write the ways that the code knows, for example payout: single/staged",
    )
    operator_paths: tuple[OperatorPath, ...] = field(
        (),
        "Paths for the operator's account alone; {parameters} are allowed.",
        breaks="the operator's commands would not find the path",
        fix="write absolute paths, for example /dead/{unique_id}/replay",
    )
    secrets: tuple[str, ...] = field(
        (), "Secrets that the service reads, each in an environment variable of that name."
    )
    config: dict[EnvName, EnvText] = field(
        {},
        "Environment variables; sluice:settings in stack config may override them.",
        breaks="the variable could not be set",
        fix="write names in upper case with digits and _, and plain values",
    )
    database: Flag = field(False, "True if the service has a login in the database.")
    pool: Whole = field(
        DEFAULT_POOL,
        "Connections that one instance opens to the database at most.",
        ge=1,
        le=100,
        breaks="requests would wait for a connection, or all instances together would exhaust the database's",
        fix="write a whole number from 1 to 100",
    )
    resources: Resources = field(Resources(), "CPU and memory of each instance.")
    scaling: Scaling = field(Scaling(), "How many instances run at least and at most.")
    concurrency: Whole = field(
        DEFAULT_CONCURRENCY,
        "Requests that one instance takes at once.",
        ge=1,
        le=1000,
        breaks="Cloud Run refuses the revision",
        fix="write a whole number from 1 to 1000",
        rule="SL701",
    )
    timeout: Duration = field(
        DEFAULT_TIMEOUT,
        "How long a request may take, 1s to 1h.",
        rule="SL701",
    )
    cpu_always: Flag = field(
        False, "True if the instance keeps its CPU between requests; only then may it work in the background."
    )
    project_roles: tuple[str, ...] = field((), "Roles on the whole project, from the short list only.")

    @property
    def all_project_roles(self) -> tuple[str, ...]:
        """The listed roles and those that a database brings, each once, in order."""
        return tuple(sorted({*self.project_roles, *(DATABASE_ROLES if self.database else ())}))

    @property
    def max_body_bytes(self) -> int:
        """The longest body of a public path in bytes."""
        return int(self.max_body[:-3]) * _UNITS[self.max_body[-3:]]

    @model_validator(mode="after")
    def _body_in_range(self) -> Self:
        if self.max_body_bytes > LARGEST_BODY or (self.max_body != DEFAULT_MAX_BODY and not self.public):
            raise Refused(
                f"{self.max_body} is above 1MiB" if self.public else "there is no public path that it could limit",
                key="max_body",
                breaks="anybody could fill an instance's memory" if self.public else "it would limit nothing",
                fix="write 1MiB or less" if self.public else "delete the line; other paths take up to 1MiB",
            )
        return self

    @field_validator("timeout")
    @classmethod
    def _timeout_in_range(cls, timeout: Duration) -> Duration:
        if not Duration(1000) <= timeout <= LONGEST_TIMEOUT:
            raise Refused(
                f"{timeout} is outside 1s to {LONGEST_TIMEOUT}",
                breaks="Cloud Run refuses the revision",
                fix="write a timeout from 1s to 1h",
            )
        return timeout

    @model_validator(mode="after")
    def _references_are_read(self) -> Self:
        for path in self.by_reference:
            if path not in self.handles or not self.database:
                raise Refused(
                    f"{path} is not in handles" if self.database else f"{path} needs the row that it is told of",
                    key="by_reference",
                    breaks="what arrives by reference could not be understood",
                    fix="list a path of handles" if self.database else "write database: true, or delete the line",
                )
        return self

    @model_validator(mode="after")
    def _rows_are_sent_anew(self) -> Self:
        if any(schedule.falls_back for schedule in self.schedules.values()) and not self.database:
            raise Refused(
                "falls_back needs the rows that are sent anew",
                key="schedules",
                breaks="there would be nothing to send anew",
                fix="write database: true, or delete falls_back",
            )
        return self

    @model_validator(mode="after")
    def _part_of_a_cpu_serves_one(self) -> Self:
        if float(self.resources.cpu) < 1 and self.concurrency > 1:
            raise Refused(
                f"{self.concurrency} requests at once on {self.resources.cpu} CPU",
                key="concurrency",
                breaks="Cloud Run refuses more than one request at once below 1 CPU",
                fix="write concurrency: 1, or resources: {cpu: 1}",
            )
        return self
