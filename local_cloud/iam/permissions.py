"""Google's own table of permission per RPC: what each method asks of its caller, by the page that says so.

The table is `asked/*.txt`, one file an API. A test holds every declared handler against it
(tests/local_cloud/test_iam_permissions.py): whoever adds an RPC adds its line. Under a service and its page, a line is
a method and its permission, asked on the resource in the method's URL. `none` asks for nothing, `~` marks what the
handler asks for itself, `+` what is asked besides, and when. `{a,b}Resource stem` stands for `aResource stem.a` and
`bResource stem.b`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

from local_cloud.errors import invalid

TABLES = Path(__file__).parent / "asked"

#: What is asked for where no RPC of the table comes in: the front door of Cloud Run, and what acts as an account.
ELSEWHERE = ("run.routes.invoke", "appengine.applications.get")

#: Verbs that Google gives to most kinds of resources.
_VERBS = ("create", "delete", "get", "getIamPolicy", "list", "setIamPolicy", "undelete", "update")
_WORD = re.compile(r"[a-zA-Z][\w-]*(\.[a-zA-Z][\w-]*){2,}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one method asks for."""

    #: None where nothing is.
    permission: str | None
    #: Whether the handler asks, because it depends on the request.
    by_handler: bool
    #: What is asked besides, and when.
    besides: tuple[tuple[str, str], ...]
    source: str

    @property
    def permissions(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(filter(None, (self.permission, *(permission for permission, _ in self.besides))))


@cache
def rules() -> dict[str, Rule]:
    """The table by the full name of the method."""
    made: dict[str, Rule] = {}
    service = source = ""
    for line in chain.from_iterable(file.read_text().splitlines() for file in sorted(TABLES.glob("*.txt"))):
        if not line.startswith(" "):
            service, _, source = line.partition(" ")
            continue
        method, _, asked = line.strip().partition(" ")
        first, *rest = asked.split(" + ")
        word = first.partition(" ")[0]
        permission = None if word == "none" else word.lstrip("~")
        besides = tuple((text.partition(" ")[0], text.partition(" ")[2]) for text in rest)
        verbs = re.fullmatch(r"\{(.*)\}(.*)", method)
        for verb in verbs[1].split(",") if verbs else ():
            own = f"{permission}.{verb[0].lower()}{verb[1:]}" if permission else None
            made[f"{service}.{verb}{verbs[2] if verbs else ''}"] = Rule(own, word[0] == "~", besides, source)
        if not verbs:
            made[f"{service}.{method}"] = Rule(permission, word[0] == "~", besides, source)
    return made


@cache
def known() -> frozenset[str]:
    """Every permission that the table or a predefined role names."""
    from local_cloud.iam.roles import predefined

    named = {p for rule in rules().values() for p in rule.permissions}
    return frozenset(named.union(ELSEWHERE, *(role.permissions for role in predefined().values())))


def check_words(asked: Iterable[str]) -> None:
    """Refuses what cannot be tested: words that are no permissions, and those that a service here does not have."""
    for permission in asked:
        if "*" in permission:
            raise invalid(f"Permissions with wildcards (such as '*' or 'storage.*') are not allowed: {permission}.")
        if not _WORD.fullmatch(permission) or not _may_exist(permission):
            raise invalid(f"Permission {permission} is not valid for this resource.")


def _may_exist(permission: str) -> bool:
    if permission in known():
        return True
    stem, _, verb = permission.rpartition(".")
    service = permission.partition(".")[0]
    if not any(one.startswith(f"{service}.") for one in known()):
        return True  # a service that is not here: nobody can say
    return verb in _VERBS and any(one.startswith(f"{stem}.") for one in known())
