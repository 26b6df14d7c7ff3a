"""The model of stacks/Pulumi.<stack>.yaml: where a system runs and what differs there.

Owns the keys `sluice:*` and `gcp:project|region`, the shape of their values, and what only a local stack may say. Other
keys of providers and of Pulumi itself pass through. Leaves encryption to Pulumi: a `secure:` value is never opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator

from spec import names
from spec.budget import Budget
from spec.ci import Ci
from spec.database import Database
from spec.edge import Edge
from spec.errors import Refused
from spec.logs import Logs
from spec.model import SILENCES, Flag, Model, Silences, field
from spec.network import Network
from spec.people import Held, Member
from spec.quotas import Quotas
from spec.rollout import RELEASES, ROLLOUT, SHARES, STOP, Release, Rollout
from spec.route import Percent
from spec.service import EnvName, EnvText
from spec.unprotect import Word
from spec.watching import Watching

#: Stacks of the layer that a release does not touch are named so.
FOUNDATION_PREFIX = "foundation-"

#: The environment on loopback; only there may endpoints be overridden.
LOCAL = "local"

#: What Google gives as a service's URL; outside local nothing else is allowed.
GOOGLE_SERVICE_URL = "https://{label}.{region}.run.app"

#: Endpoints that a local stack may point elsewhere.
ENDPOINTS = ("cloud_tasks", "cloud_tasks_grpc", "pubsub", "storage", "oidc_certs", "clock", "changenow", "telegram")

#: The version of a secret that a stack reads when it pins none.
DEFAULT_SECRET_VERSION = "1"

#: The database's machine where a stack names none: one processor and 3.75 GiB.
DEFAULT_DATABASE_TIER = "db-custom-1-3840"

#: How provider endpoint overrides end.
CUSTOM_ENDPOINT = "CustomEndpoint"

Number = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else getattr(value, "text", value)),
    WithJsonSchema({"type": ["string", "integer"], "pattern": r"^[1-9]\d*$"}, mode="validation"),
]


class Secure(Model):
    """A value that Pulumi has encrypted."""

    secure: str = field(..., "The ciphertext, written by `pulumi config set --secret`.")


class StackConfig(Model):
    """The config of one stack, under the names that the program uses."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="The stem of the file, never written in it.")
    project: str = field(
        ...,
        "The project's id.",
        alias="gcp:project",
        pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$",
        breaks="every call would go to a project that cannot exist",
        fix="write the id (not the display name): 6 to 30 lower case letters, digits, hyphens",
    )
    region: str = field(
        ...,
        "The region of every regional resource.",
        alias="gcp:region",
        pattern=r"^[a-z]+-[a-z]+\d+$",
        breaks="Google knows no such region",
        fix="write a region such as us-central1",
    )
    project_number: Number = field(
        ...,
        "The project's number; the URLs of services are made of it.",
        alias="sluice:projectNumber",
        pattern=r"^[1-9]\d{5,18}$",
        breaks="the services' URLs would belong to another project",
        fix="write the number, in quotes: gcloud projects describe PROJECT --format='value(projectNumber)'",
    )
    image_digest: str | None = field(
        None,
        "The digest of the image that all services run.",
        alias="sluice:imageDigest",
        pattern=r"^sha256:[0-9a-f]{64}$",
        breaks="a tag can move between preview and deployment; only a digest names one image",
        fix="write sha256: and 64 hex digits in lower case, as `docker images --digests` prints them",
        rule="SL907",
    )
    service_url: str = field(
        GOOGLE_SERVICE_URL,
        "The template of a service's URL.",
        alias="sluice:serviceUrl",
        rule="SL908",
    )
    database_url: str | None = field(
        None,
        "The template of the database's URL, without a password; without it the foundation's instance is used.",
        alias="sluice:databaseUrl",
        pattern=r"^postgresql://",
        breaks="the services could not connect",
        fix="write postgresql://{user}@host:port/payments",
    )
    database_tier: str = field(
        DEFAULT_DATABASE_TIER,
        "The machine of the foundation's database instance.",
        alias="sluice:databaseTier",
        pattern=r"^db-[a-z0-9-]+$",
        breaks="Cloud SQL refuses the instance",
        fix=f"write a tier such as {DEFAULT_DATABASE_TIER}: processors and MiB of memory",
    )
    database_standby: Flag = field(
        False,
        "True if the database has a standby in another zone, which takes over when its own fails.",
        alias="sluice:databaseStandby",
        breaks="nobody knows whether an outage of a zone stops payments",
        fix="write true or false",
    )
    protect: Flag = field(
        True,
        "False if queues, secrets and the database may be deleted together with the stack.",
        alias="sluice:protect",
        breaks="nobody knows whether a slip could delete what holds money, state or a name that Google blocks",
        fix="write true or false",
    )
    unprotect: tuple[Word, ...] = field(
        (),
        "What may be deleted or replaced although the stack is protected; take the word out when it is done.",
        alias="sluice:unprotect",
        breaks="nobody knows which thing may be lost, and none is",
        fix="write a list such as [tasks/old-queue, secrets/OLD_KEY, database]",
    )
    endpoints: dict[str, str] = field(
        {},
        "Endpoints that a local stack points elsewhere.",
        alias="sluice:endpoints",
        breaks="the service would call Google instead",
        fix="write name: address",
    )
    settings: dict[EnvName, EnvText] = field(
        {},
        "Environment variables of all services, over those of service.yaml.",
        alias="sluice:settings",
        breaks="the variable could not be set",
        fix="write names in upper case and plain values; a secret is declared in queue_configs/secrets/ instead",
    )
    secret_versions: dict[str, Number] = field(
        {},
        "The pinned version of each secret; 1 where none is named.",
        alias="sluice:secretVersions",
        breaks="`latest` would change a running revision without a preview",
        fix="write the number of the version, for example 2",
        rule="SL804",
    )

    canary_percent: dict[str, Percent] = field(
        {},
        "The share of payments on the new way of each route, in per cent, over that of queue_configs/routes.yaml; "
        "of a service, the share that its canary takes.",
        alias=SHARES,
        breaks="there is no such share of the payments",
        fix="write the route or service, and a whole number from 0 to 100",
    )
    stop: tuple[str, ...] = field(
        (),
        "Routes and services whose share counts as 0, whatever canary_percent says: the kill switch.",
        alias=STOP,
        breaks="payments would go on to what was to be stopped",
        fix="write a list of routes and services: [payout, gcsplit]",
    )
    releases: dict[str, Release] = field(
        {},
        "What the revisions of services are for; a service without an entry runs its newest revision alone.",
        alias=RELEASES,
        breaks="the newest revision would take all payments at once",
        fix="write the service, and below it stable: and the revision that takes the traffic",
    )
    rollout: Rollout = field(Rollout(), "How a rollout walks in this stack.", alias=ROLLOUT)

    network: Network = field(Network(), "The ranges of the private network.", alias="sluice:network")
    database: Database = field(Database(), "How the database is kept.", alias="sluice:database")
    logs: Logs = field(Logs(), "How long log entries are kept.", alias="sluice:logs")
    edge: Edge | None = field(None, "A load balancer with Cloud Armor before public services.", alias="sluice:edge")
    budget: Budget | None = field(None, "What a month may cost.", alias="sluice:budget")
    ci: Ci | None = field(None, "Which repository's jobs may deploy.", alias="sluice:ci")

    people: dict[Member, Held] = field(
        {},
        "Who may hold roles that were granted by hand: people, groups, accounts of other projects.",
        alias="sluice:people",
        breaks="nobody knows who else was let in, and on what grounds",
        fix="write user:, group:, serviceAccount: and an address, and below it roles: and why:",
    )
    quotas: Quotas = field(Quotas(), "What Google lets the project have.", alias="sluice:quotas")
    lint: Silences = field({}, SILENCES, alias="sluice:lint")
    watching: Watching = field(Watching(), "How alerts reach people in this stack.", alias="sluice:watching")

    @property
    def is_foundation(self) -> bool:
        """Whether this is the layer that a release does not touch."""
        return self.name.startswith(FOUNDATION_PREFIX)

    @property
    def env(self) -> str:
        """The environment: the stack's name without its layer."""
        return self.name.removeprefix(FOUNDATION_PREFIX)

    @property
    def is_local(self) -> bool:
        """Whether the stack runs on loopback."""
        return self.env == LOCAL

    @property
    def others(self) -> Mapping[str, Any]:
        """Keys that belong to providers or to Pulumi."""
        return self.__pydantic_extra__ or {}

    def guards(self, word: str) -> bool:
        """Whether the thing of this word may be neither deleted nor replaced."""
        return self.protect and word not in self.unprotect

    def share(self, name: str, default: int = 0) -> int:
        """Return what share of the payments takes the new way of a route, or the canary of a service."""
        return 0 if name in self.stop else self.canary_percent.get(name, default)

    def digest_of(self, service: str) -> str | None:
        """Return the digest of the image that a service's template runs."""
        release = self.releases.get(service)
        return (release.digest if release else None) or self.image_digest

    @property
    def migrating_digest(self) -> str | None:
        """The digest of the image whose migrations are run: that of the release that is tried comes first."""
        tried = sorted({one.digest for one in self.releases.values() if one.canary and one.digest})
        return tried[0] if tried else self.image_digest

    def secret_version(self, secret: str) -> str:
        """Return the version of a secret that this stack pins."""
        return self.secret_versions.get(secret, DEFAULT_SECRET_VERSION)

    def url(self, service: str, tag: str | None = None) -> str:
        """Return the URL of a service in this stack."""
        return names.service_url(
            self.service_url, service, project_number=self.project_number, region=self.region, tag=tag
        )

    @field_validator("service_url")
    @classmethod
    def _template_fits(cls, template: str) -> str:
        try:
            example = template.format(label="label", region="region")
        except (KeyError, IndexError, ValueError) as error:
            raise _refuse_template(f"{template!r} has another placeholder than {{label}} and {{region}}") from error
        if "{label}" not in template:
            raise _refuse_template(f"{template!r} has no {{label}}")
        if not example.startswith(("http://", "https://")) or example.endswith("/"):
            raise _refuse_template(f"{template!r} is not an http URL without a slash at its end")
        return template

    @field_validator("secret_versions")
    @classmethod
    def _versions_are_numbers(cls, versions: dict[str, str]) -> dict[str, str]:
        for secret, version in versions.items():
            if not version.isascii() or not version.isdigit() or version.startswith("0"):
                raise Refused(
                    f"{version!r} is not the number of a version",
                    key=secret,
                    breaks="`latest` would change a running revision without a preview",
                    fix="write the number of the version, for example 2",
                )
        return versions


class StackFile(Model):
    """A whole Pulumi.<stack>.yaml: the config and what Pulumi writes beside it."""

    config: StackConfig = field(
        ...,
        "The stack's config.",
        breaks="nobody would know which project the stack is deployed to",
        fix="write config: and below it gcp:project, gcp:region and sluice:projectNumber",
    )
    encryptionsalt: str | None = field(None, "Written by Pulumi.")
    encryptedkey: str | None = field(None, "Written by Pulumi.")
    secretsprovider: str | None = field(None, "How Pulumi encrypts secure values.")
    environment: Any = field(None, "Environments that Pulumi reads.")


def from_flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return config as Pulumi hands it to a running program (all but text as JSON text) in the shape of the file."""
    structured = {info.alias for info in StackConfig.model_fields.values() if not _is_text(info.annotation)}
    return {key: _parsed(value) if key in structured else value for key, value in values.items()}


def _is_text(annotation: Any) -> bool:
    return annotation is str or (str in get_args(annotation) and get_origin(annotation) not in (dict, tuple))


def _parsed(value: Any) -> Any:
    """Read JSON text; text that is none stays as it is, and the model refuses it with its key."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _refuse_template(what: str) -> Refused:
    return Refused(
        what,
        breaks="services could not find one another",
        fix=f"write {GOOGLE_SERVICE_URL} or a local URL with the same placeholders",
    )
