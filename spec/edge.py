"""The edge of an environment: one address and one name a public service, with Cloud Armor before its door.

Owns the model of `sluice:edge`. It is an option: without it public services are reached at their run.app addresses.
With it these refuse whoever does not come through the load balancer, Google's own callers excepted. A service keeps
its run.app address as the audience of tokens, so that nothing that calls it changes.

Sources: https://cloud.google.com/load-balancing/docs/https/setup-global-ext-https-serverless,
https://cloud.google.com/armor/docs/rate-limiting-overview, https://cloud.google.com/armor/docs/waf-rules,
https://cloud.google.com/run/docs/securing/ingress (internal and Cloud Load Balancing),
https://cloud.google.com/load-balancing/docs/quotas (certificates of a target HTTPS proxy).
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema

from spec.errors import Refused
from spec.model import Model, Whole, field

#: Requests a minute of one address: partners' servers are meant to be listed in `allow`.
RATE = 300
#: Certificates that the proxy takes, and with one a name as many public services.
CERTIFICATES = 15
#: Ranges that one rule of Cloud Armor takes.
RANGES_OF_A_RULE = 10
#: Ready-made rules that fit JSON notices at all, at the level with the fewest false alarms.
WAF = ("sqli-v33-stable", "protocolattack-v33-stable", "scannerdetection-v33-stable")


def _is_range(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise Refused(
            f"{text!r} is no range of addresses",
            breaks="Cloud Armor refuses the rule",
            fix="write it as 203.0.113.0/24, with no bits set beyond the prefix",
        ) from error


Range = Annotated[str, AfterValidator(_is_range), WithJsonSchema({"type": "string"}, mode="validation")]


class Armor(Model):
    """Whom Cloud Armor lets to the doors."""

    rate_per_minute: Whole = field(
        RATE,
        "Requests a minute that one address may make of one service; more is answered 429.",
        ge=1,
        le=10_000,
        breaks="Cloud Armor refuses the rule, or nobody is ever let in",
        fix=f"write a whole number from 1 to 10000, for example {RATE}",
    )
    waf: Literal["off", "preview", "enforce"] = field(
        "preview",
        "Google's ready-made rules against attacks: off, only logged, or enforced. A notice of a payment that looks "
        "like an attack would be refused, so look at the log for a while first.",
        breaks="nobody knows whether a partner's notice may be refused",
        fix="write off, preview or enforce",
    )
    allow: dict[str, tuple[Range, ...]] = field(
        {},
        "Addresses of partners, by service: no limit of rate and no ready-made rule is asked of them.",
        breaks="a partner's notices would be limited like anybody's",
        fix="write service: [range, ...]",
    )
    only: tuple[str, ...] = field(
        (),
        "Services that nobody but the addresses in allow may reach.",
        breaks="whoever is left out is refused",
        fix="list services of allow, for example [gchostpay4]",
    )

    def partners(self, service: str) -> list[tuple[Range, ...]]:
        """The partners' addresses of a service, as its rules take them."""
        listed = self.allow.get(service, ())
        return [listed[start : start + RANGES_OF_A_RULE] for start in range(0, len(listed), RANGES_OF_A_RULE)]

    def ready_made(self, service: str) -> tuple[str, ...]:
        """The ready-made rules that are asked of whoever is no partner: none where nobody else is let in."""
        return () if self.waf == "off" or service in self.only else WAF


class Edge(Model):
    """A load balancer before the public services."""

    domain: str = field(
        ...,
        "The domain below which each public service has a name: SERVICE.DOMAIN.",
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$",
        breaks="Google issues no certificate",
        fix="write a domain whose DNS is yours, for example pay.example.com",
    )
    armor: Armor = field(Armor(), "Whom Cloud Armor lets through.")

    def host(self, service: str) -> str:
        """The name of a service."""
        return f"{service}.{self.domain}"

    def url(self, service: str) -> str:
        """Where partners reach a service."""
        return f"https://{self.host(service)}"
