"""What services run with: the pinned version in stack config, the apply of those that read it, and Cloud Run's word.

Owns who reads a secret, what forbids to change their template now, and the proof that a version is served: every
revision that takes traffic or has a role mounts it, by google-cloud-run. On this machine it also keeps the value in the
home, from which `sluice up` and the sandbox take it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from ops import specs, stack_config
from ops.errors import CallFailed, OpsError
from ops.output import Output
from ops.place import Local, Place
from ops.rollout import checkout, images
from ops.rollout.apply import SERVICE_TYPE, bring, targeted, template_of
from ops.rollout.state import Phase
from ops.rollout.store import Store
from ops.stack import under_way
from spec.rollout import RELEASES, Release
from spec.stack import StackConfig

if TYPE_CHECKING:
    from google.cloud import run_v2

#: The key of the pinned versions in stack config.
PINNED = "sluice:secretVersions"


class NotServed(OpsError):
    """Not every reader runs with the value; nothing that needs it was done."""


class Deployed:
    """The readers of one secret in one place."""

    def __init__(self, place: Place, name: str, out: Output) -> None:
        self._place, self._name, self._out = place, name, out
        self.readers = tuple(service.name for service in specs.load(place.stack).consumers(name))

    @property
    def pinned(self) -> str:
        """The version that stack config pins now."""
        return specs.config_of(self._place.stack).secret_version(self._name)

    def free(self) -> None:
        """Refuse while a template may not change, or while a way back leads to a revision of the old key.

        To what was rolled back no way leads: it stands in no key's way.
        """
        under_way.refuse(self._place, why="a rotation changes templates, which is refused while a release is tried")
        releases, stack = specs.config_of(self._place.stack).releases, self._place.stack
        for name in self.readers:
            entry = releases.get(name)
            if entry is not None and entry.canary is not None:
                raise OpsError(
                    f"{name} reads {self._name}, and stack config has a canary of it that no rollout tries",
                    why="its template is the canary's, and the new value would come with it",
                    fix=f"./sluice rollback {name} --stack {stack} takes it away; then this command again",
                )
            if entry is not None and entry.previous is not None:
                early = entry.keep_until is not None and self._place.now() < entry.keep_until
                raise OpsError(
                    f"{name} reads {self._name}, and stack config keeps its previous revision, {entry.previous}",
                    why="a rollback would lead to a revision with another key",
                    fix=f"./sluice rollout finish {name}{' --force' if early else ''} --stack {stack} lets go of it, "
                    "so that no rollback finds it any more; then this command again",
                )

    def pin(self, version: str) -> None:
        """Write the version into stack config; a reader whose traffic names a revision gets the new one's name too."""
        home = self._place.home if isinstance(self._place, Local) else None
        change = {PINNED: {self._name: int(version)}, **self._named(version)}
        if stack_config.change(self._place.stack, change, home=home):
            self._out.step(f"{PINNED} says {self._name}: {version}")

    def _named(self, version: str) -> dict[str, Any]:
        """What `sluice:releases` has to say, since a rotation is a new revision of the same release."""
        config = specs.config_of(self._place.stack)
        if self.pinned != version:
            checkout.same_services(self._place, config, self.readers)
        found: dict[str, Any] = {}
        for name in self.readers:
            entry = config.releases.get(name)
            if entry is None or entry.stable is None or self.pinned == version:
                continue
            kept = entry.model_dump(mode="json", exclude_none=True)
            stands, comes = (
                template_of(self._place, name, kept, {PINNED: {**config.secret_versions, self._name: one}})
                for one in (int(self.pinned), int(version))
            )
            if stands != entry.stable:
                raise OpsError(
                    f"{name} is declared as {stands}, and its traffic goes to {entry.stable}",
                    why="the new value would come with whatever else has changed in it, and nobody has tried that",
                    fix=f"rotate from the checkout that {entry.stable} was deployed from; or, where that may wait, "
                    f"./sluice rollout start {name} --stack {self._place.stack}, and rotate when it is promoted",
                )
            found[name] = {"stable": comes, **self._bad(name, entry, config, version)}
        return {RELEASES: found} if found else {}

    def _bad(self, name: str, entry: Release, config: StackConfig, version: str) -> dict[str, str]:
        """What was rolled back, as it would be called with the new value, or it could be rolled out again unseen."""
        if entry.rolled_back is None:
            return {}
        digest = self._tried(name, entry.rolled_back)
        if digest:
            kept = {"stable": entry.stable, "digest": digest}
            stood, comes = (
                template_of(self._place, name, kept, {PINNED: {**config.secret_versions, self._name: one}})
                for one in (int(self.pinned), int(version))
            )
            if stood == entry.rolled_back:
                return {"rolled_back": comes}
        self._out.warn(
            f"{entry.rolled_back} of {name} was rolled back, and what it would be called with the new value is not "
            "known: a rollout of the same code would not be refused"
        )
        return {}

    def _tried(self, name: str, revision: str) -> str:
        """The image of what was rolled back, which a rotation has renamed perhaps; "" where nobody knows it."""
        store = Store(self._place)
        for rollout in reversed(store.past(name)):
            last = store.show(rollout)
            if last is not None and last.phase is Phase.ROLLED_BACK:
                revision = last.canary
                break
        try:
            return images.of(self._place, name, revision)
        except OpsError:  # it was deleted
            return ""

    def apply(self) -> None:
        """Bring it about: the services that read the secret, and nothing else."""
        bring(
            self._place,
            self._out,
            targeted(self._place.stack, (f"{SERVICE_TYPE}::{name}" for name in self.readers)),
            missing=lambda what, command: OpsError(
                what,
                why="the services still run with the value before",
                fix=f"run this where it is, then this command again: {command}",
            ),
            failed=lambda what: OpsError(
                what,
                why="some services may still run with the value before; nobody signs with a key that others lack",
                fix="mend what it says and run this command again: it goes on from there",
            ),
        )

    def served(self, version: str) -> None:
        """Refuse to go on unless all revisions that anybody can reach have the version."""
        found = [problem for name in self.readers for problem in self._problems(name, version)]
        if found:
            raise NotServed(
                f"version {version} of {self._name} is not what all its readers run with:\n  " + "\n  ".join(found),
                why="the next step would sign with a key that they do not know, and their payments would die",
                fix="mend what is said and run this command again: it goes on from there",
            )

    def _problems(self, service: str, version: str) -> Iterator[str]:
        from google.api_core.exceptions import GoogleAPICallError

        clients = self._place.run_clients()
        path = f"{self._place.parent}/services/{service}"
        try:
            live = clients.services.get_service(name=path)
            names = {one.revision.rpartition("/")[2] for one in live.traffic if one.percent or one.tag}
            if not names or "" in names:
                yield f"{service}: its traffic names no revision"
            for name in sorted(names - {""}):
                revision = clients.revisions.get_revision(name=f"{path}/revisions/{name}")
                has = self._mounted(revision)
                if has != version:
                    yield f"{service}: {name} has {f'version {has}' if has else 'no such secret'}"
            if live.reconciling:
                yield f"{service}: Cloud Run is still bringing it about"
        except (GoogleAPICallError, CallFailed) as error:
            yield f"{service}: {error}"

    def _mounted(self, revision: run_v2.Revision) -> str:
        for container in revision.containers:
            for variable in container.env:
                reference = variable.value_source.secret_key_ref
                if variable.name == self._name and reference.secret.rpartition("/")[2] == self._name:
                    return str(reference.version)
        return ""

    def remember(self, value: str) -> None:
        """On this machine: keep the value where the local stack's values are kept, for its owner alone."""
        if isinstance(self._place, Local) and self._place.home is not None:
            known = cast(dict[str, str], self._place.home.read("secrets.json") or {})
            if self._name in known and known[self._name] != value:
                self._place.home.write("secrets.json", {**known, self._name: value})
