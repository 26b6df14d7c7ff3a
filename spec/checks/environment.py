"""Environment variables and stack config: nothing reserved, nothing secret in plain text, nothing unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Severity, choose, nearest
from spec.secret_forms import PASSWORD_IN_URL, looks_secret
from spec.service import RESERVED_ENV
from spec.stack import CUSTOM_ENDPOINT, ENDPOINTS, GOOGLE_SERVICE_URL, StackConfig

_LEAK = "it would stand in plain text in git, in the stack's state and in the revision's description"


@rule("SL703")
def variables_are_free(draft: Draft) -> Iterator[Finding]:
    """Config sets no variable that the platform, the program or a secret sets."""
    for service in draft.system.services.values():
        for name in service.config:
            if reason := _taken(draft, name):
                yield draft.error("service", service.name, "config", name, **reason)
    for stack in draft.stacks.values():
        for name in stack.settings:
            if reason := _taken(draft, name):
                yield draft.error("stack", stack.name, "config", "sluice:settings", name, **reason)


@rule("SL803", silenceable=True)
def nothing_secret_is_plain(draft: Draft) -> Iterator[Finding]:
    """No value in service config or stack config looks like a secret."""
    for service in draft.system.services.values():
        for name, value in service.config.items():
            if looks_secret(name, value) and not draft.is_declared("secret", name):
                yield draft.error("service", service.name, "config", name, **_plain(name, value))
    for stack in draft.stacks.values():
        if stack.name in draft.running:
            continue
        for path, value in _values(stack):
            name = path[-1]
            if looks_secret(name, value) and not draft.is_declared("secret", name):
                yield draft.error("stack", stack.name, "config", *path, **_plain(name, value))


@rule("SL901")
def stack_keys_are_known(draft: Draft) -> Iterator[Finding]:
    """A stack says nothing to the program that the program does not read."""
    known = [str(info.alias) for info in StackConfig.model_fields.values() if info.alias]
    for stack in draft.stacks.values():
        for key in stack.others:
            namespace, colon, _ = key.partition(":")
            if colon and namespace != "sluice":
                continue
            near = nearest(key, known)
            yield draft.error(
                "stack",
                stack.name,
                "config",
                key,
                what=f"there is no key {key!r}",
                breaks="it would be ignored, and a default that nobody chose would be in force",
                fix=f"did you mean {near}? Otherwise delete the line" if near else f"use one of: {', '.join(known)}",
            )


@rule("SL902")
def endpoints_exist(draft: Draft) -> Iterator[Finding]:
    """Endpoints are such as the services have."""
    for stack in draft.stacks.values():
        for name in stack.endpoints:
            if name not in ENDPOINTS:
                yield draft.error(
                    "stack",
                    stack.name,
                    "config",
                    "sluice:endpoints",
                    name,
                    what=f"there is no endpoint {name!r}",
                    breaks="the services would go on calling the real one",
                    fix=choose(name, ENDPOINTS, noun="endpoint"),
                )


@rule("SL903")
def pinned_secrets_exist(draft: Draft) -> Iterator[Finding]:
    """A stack pins versions of secrets that are declared."""
    for stack in draft.stacks.values():
        for name in stack.secret_versions:
            if draft.declared.get("secret") and not draft.is_declared("secret", name):
                yield draft.error(
                    "stack",
                    stack.name,
                    "config",
                    "sluice:secretVersions",
                    name,
                    what=f"nobody declares the secret {name!r}",
                    breaks="the secret that was meant would stay at version 1",
                    fix=choose(name, draft.declared["secret"], noun="secret"),
                )


@rule("SL904")
def overrides_are_local(draft: Draft) -> Iterator[Finding]:
    """Only a local stack points endpoints elsewhere."""
    for stack in draft.stacks.values():
        if stack.is_local:
            continue
        keys = ["sluice:endpoints"] if stack.endpoints else []
        keys += ["sluice:serviceUrl"] if stack.service_url != GOOGLE_SERVICE_URL else []
        keys += [key for key in stack.others if key.startswith("gcp:") and key.endswith(CUSTOM_ENDPOINT)]
        for key in keys:
            yield draft.error(
                "stack",
                stack.name,
                "config",
                key,
                what="an endpoint is overridden outside of a local stack",
                breaks="payments of a real environment would go through a stand-in",
                fix="delete the key; only the stacks local and foundation-local may have it",
            )


@rule("SL905", Severity.WARNING)
def settings_are_used(draft: Draft) -> Iterator[Finding]:
    """A setting overrides something that a service declares."""
    known = {name for service in draft.system.services.values() for name in service.config}
    for stack in draft.stacks.values():
        for name in stack.settings:
            if name not in known and not _taken(draft, name):
                yield draft.warning(
                    "stack",
                    stack.name,
                    "config",
                    "sluice:settings",
                    name,
                    what=f"no service declares {name} in its config",
                    breaks="it would override nothing",
                    fix=choose(name, known, noun="setting"),
                )


@rule("SL906")
def releases_name_an_image(draft: Draft) -> Iterator[Finding]:
    """A stack that deploys services outside of loopback says which image."""
    if not draft.declared["service"]:
        return  # nothing but what was taken over, which names its images itself
    for stack in draft.stacks.values():
        if not (stack.is_local or stack.is_foundation or stack.image_digest):
            yield draft.error(
                "stack",
                stack.name,
                "config",
                what="sluice:imageDigest is missing",
                breaks="there would be no code to run",
                fix=f"pulumi config set --stack {stack.name} sluice:imageDigest sha256:<64 hex digits>",
            )


def _taken(draft: Draft, name: str) -> dict[str, str] | None:
    if draft.is_declared("secret", name):
        return {
            "what": f"{name} is a secret, and its value stands here",
            "breaks": _LEAK,
            "fix": f"delete the line, and list {name} under secrets: in service.yaml; if the value is real, rotate it",
        }
    if name in RESERVED_ENV:
        return {
            "what": f"{name} is set by the platform or the program",
            "breaks": "the service would read a value that does not fit the deployment",
            "fix": "choose another name",
        }
    return None


def _plain(name: str, value: str) -> dict[str, str]:
    if PASSWORD_IN_URL.search(value):
        return {
            "what": f"{name} is a URL with a password in it",
            "breaks": _LEAK,
            "fix": "take the password out: services log in with a token of their own account; if it is real, change it",
        }
    return {
        "what": f"{name} looks like a secret in plain text",
        "breaks": _LEAK,
        "fix": "declare it in queue_configs/secrets/ and list it under secrets: in service.yaml (a provider's own "
        "credential: pulumi config set --secret); if the value is real, rotate it",
    }


def _values(stack: StackConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every text in a stack's config with its path; what Pulumi has encrypted is left out."""
    plain = {"sluice:settings": stack.settings, "sluice:endpoints": stack.endpoints, **stack.others}
    if stack.database_url:
        plain["sluice:databaseUrl"] = stack.database_url
    for key, value in plain.items():
        yield from _texts((key,), value)


def _texts(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        if set(value) != {"secure"}:
            for key, inner in value.items():
                yield from _texts((*path, str(key)), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(path, inner)
    elif isinstance(value, str):
        yield path, value


RULES: tuple[Rule, ...] = (
    variables_are_free,
    nothing_secret_is_plain,
    stack_keys_are_known,
    endpoints_exist,
    pinned_secrets_exist,
    overrides_are_local,
    settings_are_used,
    releases_name_an_image,
)
