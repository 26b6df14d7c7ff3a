"""Who the local stack is, and the config it gets: what its file says, with this home's ports and clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import spec
from ops import specs, stack_config
from ops.home import Home, Ports

#: The two stacks of the local environment, in the order in which they are deployed.
LAYERS = ("foundation-local", "local")


def of_local_stack() -> spec.StackConfig:
    """Project, number and region of the local stack, from its file."""
    return specs.config_of("local")


def service_url(ports: Ports, service: str) -> str:
    """The base URL of a service in this home."""
    who = of_local_stack()
    return spec.names.service_url(
        service_template(ports), service, project_number=who.project_number, region=who.region
    )


def service_template(ports: Ports) -> str:
    """Where the local cloud serves Cloud Run."""
    return f"http://127.0.0.1:{ports.rest}/run/{{label}}.{{region}}"


def clock_url(home: Home) -> str:
    """The file through which everybody who must follow the moved clock does."""
    return (home.path / "cloud" / "clock").as_uri()


def overrides(home: Home, ports: Ports, image_digest: str, layer: str = spec.stack.LOCAL) -> Mapping[str, Any]:
    """The config that differs between homes: image, ports, clock, the sandbox's addresses, and the home's overlay."""
    sandbox = f"http://127.0.0.1:{ports.sandbox}"
    return {
        **(stack_config.overlay(home) if layer == spec.stack.LOCAL else {}),
        "sluice:imageDigest": image_digest,
        "sluice:serviceUrl": service_template(ports),
        "sluice:databaseUrl": f"postgresql://{{user}}@127.0.0.1:{ports.postgres}/payments",
        "sluice:endpoints": {
            "cloud_tasks": f"http://127.0.0.1:{ports.service_rest}",
            "cloud_tasks_grpc": f"127.0.0.1:{ports.service_grpc}",
            "pubsub": f"http://127.0.0.1:{ports.service_rest}",
            "storage": f"http://127.0.0.1:{ports.service_rest}",
            "oidc_certs": f"http://127.0.0.1:{ports.service_rest}/oauth2/v3/certs",
            "clock": clock_url(home),
            "changenow": f"{sandbox}/changenow",
            "telegram": f"{sandbox}/telegram",
        },
    }
