"""The life of key rings, keys and versions: numbers, primaries, rotation and destruction on the cloud's clock.

Rings cannot be deleted, as in Google's; keys and versions can once their material is destroyed, and their names stay
taken. Source: google/cloud/kms/v1/resources.proto, https://cloud.google.com/kms/docs/key-states.
"""

from functools import partial

from local_cloud.clock import Timer
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, failed_precondition, not_found
from local_cloud.kms.algorithms import Algorithm, table
from local_cloud.kms.material import Material, tag_of

PACKAGE = "google.cloud.kms.v1"
RING, KEY, VERSION = (f"{PACKAGE}.{kind}" for kind in ("KeyRing", "CryptoKey", "CryptoKeyVersion"))

#: A key's versions are destroyed this long after they were told to, unless the key says otherwise.
DESTROY_AFTER = 30 * 86400


def state(name: str) -> int:
    """The number of a version's state."""
    values = message(VERSION).DESCRIPTOR.enum_types_by_name["CryptoKeyVersionState"].values_by_name
    return int(values[name].number)


def state_name(version: Message) -> str:
    """A version's state in words."""
    values = version.DESCRIPTOR.enum_types_by_name["CryptoKeyVersionState"].values_by_number
    return str(values[version.state].name)


def algorithm_of(version: Message) -> Algorithm:
    """What a version is made of."""
    values = version.DESCRIPTOR.fields_by_name["algorithm"].enum_type.values_by_number
    return table()[values[version.algorithm].name]


class KeyRings:
    """What is kept of KMS."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.rings = cloud.store.messages("kms.rings", RING)
        self.keys = cloud.store.messages("kms.keys", KEY)
        self.versions = cloud.store.messages("kms.versions", VERSION)
        #: By key: the number of its last version, and of its primary one (0 for none).
        self.numbers = cloud.store.json("kms.numbers")
        self.retired = cloud.store.messages("kms.retired", f"{PACKAGE}.RetiredResource")
        self.material = Material(cloud.settings.state / "kms")
        self._timers: dict[str, Timer] = {}
        self._tags = {tag_of(name): name for name in self.versions}
        for name in self.keys:
            self.schedule_rotation(name)
        for name in self.versions:
            self._schedule_destruction(name)

    # Reading

    def ring(self, name: str) -> Message:
        """A ring; NOT_FOUND without it."""
        found = self.rings.get(name)
        if found is None:
            raise not_found(f"KeyRing {name} not found.")
        return found

    def key(self, name: str) -> Message:
        """A key with its primary version as it is now."""
        found = self.keys.get(name)
        if found is None:
            raise not_found(f"CryptoKey {name} not found.")
        made = message(KEY)()
        made.CopyFrom(found)
        if primary := self.primary(name):
            made.primary.CopyFrom(self.versions[primary])
        return made

    def primary(self, name: str) -> str:
        """The name of a key's primary version, or ""."""
        number = self.numbers[name]["primary"]
        return f"{name}/cryptoKeyVersions/{number}" if number else ""

    def version(self, name: str) -> Message:
        """A version; NOT_FOUND without it."""
        found = self.versions.get(name)
        if found is None:
            raise not_found(f"CryptoKeyVersion {name} not found.")
        return found

    def by_tag(self, tag: bytes) -> str:
        """The name of the version that a ciphertext names, or ""."""
        return self._tags.get(tag, "")

    def versions_of(self, key: str) -> list[Message]:
        """All versions of a key, oldest first."""
        return [found for name, found in self.versions.items() if name.startswith(f"{key}/")]

    def usable(self, name: str) -> Message:
        """A version that is enabled; in any other state it is good for nothing."""
        found = self.version(name)
        now = state_name(found)
        if now != "ENABLED":
            text = f"{name} is not enabled, current state is: {now}."
            raise failed_precondition(text, precondition(f"KEY_{now}", name))
        return found

    # Changing

    def add_version(self, key: Message, made: bytes) -> Message:
        """A new version of this material; it is the primary one only where a rotation or the caller makes it so."""
        numbers = self.numbers[key.name]
        numbers["last"] += 1
        name = f"{key.name}/cryptoKeyVersions/{numbers['last']}"
        self.material.write(name, made)
        self.numbers.save(key.name)
        template = key.version_template
        version = message(VERSION)(
            name=name,
            state=state("ENABLED"),
            protection_level=template.protection_level,
            algorithm=template.algorithm,
        )
        for moment in (version.create_time, version.generate_time):
            moment.FromNanoseconds(self._nanoseconds())
        self.versions[name] = version
        self._tags[tag_of(name)] = name
        return version

    def set_primary(self, key: str, number: int) -> None:
        """Make a version the one that encrypts."""
        self.numbers[key]["primary"] = number
        self.numbers.save(key)

    def schedule_rotation(self, name: str) -> None:
        """Arm the key's next rotation, if it has one."""
        self._cancel(name)
        if self.keys[name].HasField("next_rotation_time"):
            when = self.keys[name].next_rotation_time.ToNanoseconds() / 1e9
            self._timers[name] = self._cloud.clock.call_at(when, partial(self._rotate, name))

    def _rotate(self, name: str) -> None:
        from local_cloud.kms.generate import new

        key = self.keys[name]
        version = self.add_version(key, new(table()["GOOGLE_SYMMETRIC_ENCRYPTION"]))
        self.set_primary(name, int(version.name.rpartition("/")[2]))
        if key.HasField("rotation_period"):
            following = key.next_rotation_time.ToNanoseconds() + key.rotation_period.ToNanoseconds()
            key.next_rotation_time.FromNanoseconds(following)
        else:
            key.ClearField("next_rotation_time")
        self.keys.save(name)
        self.schedule_rotation(name)

    def destroy_later(self, version: Message) -> None:
        """Schedule the end of a version's material."""
        key = self.keys[version.name.partition("/cryptoKeyVersions/")[0]]
        after = key.destroy_scheduled_duration.ToNanoseconds()
        version.state = state("DESTROY_SCHEDULED")
        version.destroy_time.FromNanoseconds(self._nanoseconds() + after)
        self.versions.save(version.name)
        self._schedule_destruction(version.name)

    def restore(self, version: Message) -> None:
        """Call the destruction off; the version is disabled then."""
        self._cancel(version.name)
        version.state = state("DISABLED")
        version.ClearField("destroy_time")
        self.versions.save(version.name)

    def forget_version(self, name: str) -> None:
        """Delete what is left of a version."""
        self._cancel(name)
        self.material.destroy(name)
        self._tags.pop(tag_of(name), None)
        del self.versions[name]

    def forget_key(self, name: str) -> None:
        """Delete a key without versions."""
        self._cancel(name)
        del self.keys[name]
        self.numbers.pop(name)
        self._cloud.iam.forget(name)

    def retire(self, name: str, kind: str) -> Message:
        """Keep the name of what was deleted taken."""
        parent = "/".join(name.split("/")[:4])
        made = message(f"{PACKAGE}.RetiredResource")(
            name=f"{parent}/retiredResources/{len(self.retired) + 1}",
            original_resource=name,
            resource_type=f"cloudkms.googleapis.com/{kind}",
        )
        made.delete_time.FromNanoseconds(self._nanoseconds())
        self.retired[made.name] = made
        return made

    def is_retired(self, name: str) -> bool:
        """Whether something of this name was deleted."""
        return any(found.original_resource == name for found in self.retired.values())

    def _schedule_destruction(self, name: str) -> None:
        version = self.versions[name]
        if version.state == state("DESTROY_SCHEDULED"):
            when = version.destroy_time.ToNanoseconds() / 1e9
            self._timers[name] = self._cloud.clock.call_at(when, partial(self._destroy, name))

    def _destroy(self, name: str) -> None:
        self._timers.pop(name, None)
        version = self.versions[name]
        version.state = state("DESTROYED")
        version.destroy_event_time.FromNanoseconds(version.destroy_time.ToNanoseconds())
        version.ClearField("destroy_time")
        self.versions.save(name)
        self.material.destroy(name)

    def _cancel(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    def _nanoseconds(self) -> int:
        return int(self._cloud.now() * 1_000_000) * 1000


def precondition(kind: str, subject: str) -> Message:
    """The detail that says what was missing."""
    return message("google.rpc.PreconditionFailure")(violations=[{"type": kind, "subject": subject}])


def wrong_state(version: Message) -> ApiError:
    """The refusal of a transition that the version's state does not allow."""
    now = state_name(version)
    text = f"CryptoKeyVersion {version.name} cannot be changed so, its current state is: {now}."
    return failed_precondition(text, precondition(f"KEY_{now}", version.name))
