"""Cloud KMS through its official client: rings, keys and versions, what they do, and their laws."""

import datetime
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from google.api_core import exceptions
from google.cloud import kms_v1
from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2

from local_cloud.cloud import Cloud
from local_cloud.engines.crc32c import crc32c
from local_cloud.kms.material import Material
from tests.fidelity import pins
from tests.local_cloud.cloud_places import ANONYMOUS, PARENT, Place

Algorithm = kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm
State = kms_v1.CryptoKeyVersion.CryptoKeyVersionState
Purpose = kms_v1.CryptoKey.CryptoKeyPurpose
DAY = 86400


@pytest.fixture(scope="module")
def kms(place: Place) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}") as channel:
        transport = kms_v1.KeyManagementServiceClient.get_transport_class("grpc")(channel=channel)
        yield kms_v1.KeyManagementServiceClient(transport=transport)


@pytest.fixture(scope="module")
def ring(kms: Any) -> str:
    return str(kms.create_key_ring(parent=PARENT, key_ring_id=f"ring-{uuid.uuid4().hex[:8]}", key_ring={}).name)


def key(kms: Any, ring: str, name: str, algorithm: str = "", *, exact: bool = False, **more: Any) -> str:
    """A key of the purpose that the algorithm asks for."""
    made: dict[str, Any] = {"purpose": "ENCRYPT_DECRYPT", **more}
    if not exact:
        name = f"{name}-{uuid.uuid4().hex[:8]}"
    if algorithm:
        purposes = {"RSA_DECRYPT": "ASYMMETRIC_DECRYPT", "HMAC": "MAC", "AES": "RAW_ENCRYPT_DECRYPT"}
        found = [purpose for start, purpose in purposes.items() if algorithm.startswith(start)]
        level = "HSM" if "SECP256K1" in algorithm else "SOFTWARE"
        made["purpose"] = found[0] if found else "ASYMMETRIC_SIGN"
        made["version_template"] = {"algorithm": algorithm, "protection_level": level}
    return str(kms.create_crypto_key(parent=ring, crypto_key_id=name, crypto_key=made).name)


def advance(place: Place, seconds: float) -> None:
    async def move(cloud: Cloud) -> None:
        await cloud.clock.advance(seconds)

    place.do(move)


@pins("infrastructure", "Keys", "A ring and a key are made once, read back and listed in pages", documented="KMS v1")
def test_rings_and_keys_are_kept_and_listed_in_pages(kms: Any, ring: str) -> None:
    with pytest.raises(exceptions.AlreadyExists, match=f"KeyRing {ring} already exists."):
        kms.create_key_ring(parent=PARENT, key_ring_id=ring.rpartition("/")[2], key_ring={})
    with pytest.raises(exceptions.NotFound, match=f"KeyRing {ring}-no not found."):
        kms.get_key_ring(name=f"{ring}-no")
    paged = str(kms.create_key_ring(parent=PARENT, key_ring_id=f"paged-{uuid.uuid4().hex[:8]}", key_ring={}).name)
    for number in range(5):
        key(kms, paged, f"k{number}", exact=True, labels={"n": str(number)})
    pages = list(kms.list_crypto_keys(request={"parent": paged, "page_size": 2}).pages)
    assert [len(page.crypto_keys) for page in pages] == [2, 2, 1]
    assert pages[0].total_size == 5
    found = kms.list_crypto_keys(request={"parent": paged, "filter": "labels.n = 3"})
    assert [one.name for one in found] == [f"{paged}/cryptoKeys/k3"]
    made = kms.get_crypto_key(name=f"{paged}/cryptoKeys/k0")
    assert made.primary.name == f"{paged}/cryptoKeys/k0/cryptoKeyVersions/1"
    assert made.destroy_scheduled_duration == datetime.timedelta(days=30)
    with pytest.raises(exceptions.AlreadyExists, match=r"CryptoKey .*k0 already exists\."):
        key(kms, paged, "k0", exact=True)


@pins(
    "infrastructure",
    "Keys",
    "Encrypt and Decrypt with additional data and checksums; an old version still decrypts after a new primary",
    documented="Raw and symmetric encryption, data integrity guidelines",
)
def test_what_is_encrypted_is_decrypted_by_the_same_key_alone(kms: Any, ring: str) -> None:
    name, other = key(kms, ring, "sym"), key(kms, ring, "sym-other")
    sealed = kms.encrypt(
        request={
            "name": name,
            "plaintext": b"a secret",
            "plaintext_crc32c": crc32c(b"a secret"),
            "additional_authenticated_data": b"for you",
        }
    )
    assert sealed.name == f"{name}/cryptoKeyVersions/1"
    assert sealed.verified_plaintext_crc32c
    assert not sealed.verified_additional_authenticated_data_crc32c
    assert sealed.ciphertext_crc32c == crc32c(sealed.ciphertext)
    opened = {"name": name, "ciphertext": sealed.ciphertext, "additional_authenticated_data": b"for you"}
    assert kms.decrypt(request=opened).plaintext == b"a secret"
    kms.create_crypto_key_version(parent=name, crypto_key_version={})
    assert kms.get_crypto_key(name=name).primary.name.endswith("/1")
    kms.update_crypto_key_primary_version(name=name, crypto_key_version_id="2")
    again = kms.decrypt(request=opened)
    assert (again.plaintext, again.used_primary) == (b"a secret", False)
    assert kms.encrypt(name=name, plaintext=b"x").name.endswith("/2")
    with pytest.raises(exceptions.InvalidArgument, match="Decryption failed: verify that 'name' refers to"):
        kms.decrypt(request=opened | {"name": other})
    with pytest.raises(exceptions.InvalidArgument, match="the ciphertext is invalid"):
        kms.decrypt(request=opened | {"additional_authenticated_data": b"for others"})
    with pytest.raises(exceptions.InvalidArgument, match="checksum in field plaintext_crc32c did not match"):
        kms.encrypt(request={"name": name, "plaintext": b"x", "plaintext_crc32c": 1})
    with pytest.raises(exceptions.InvalidArgument, match="no larger than 64KiB"):
        kms.encrypt(name=name, plaintext=b"x" * 65537)


@pins("infrastructure", "Keys", "A version that is not enabled is good for nothing", observed="public issues")
def test_a_disabled_version_neither_encrypts_nor_decrypts(kms: Any, ring: str) -> None:
    name = key(kms, ring, "disabled")
    version = f"{name}/cryptoKeyVersions/1"
    sealed = kms.encrypt(name=name, plaintext=b"x").ciphertext
    mask = field_mask_pb2.FieldMask(paths=["state"])
    kms.update_crypto_key_version(crypto_key_version={"name": version, "state": State.DISABLED}, update_mask=mask)
    uses: list[Callable[[], Any]] = [
        lambda: kms.encrypt(name=name, plaintext=b"x"),
        lambda: kms.decrypt(name=name, ciphertext=sealed),
    ]
    for use in uses:
        with pytest.raises(
            exceptions.FailedPrecondition, match=f"{version} is not enabled, current state is: DISABLED."
        ):
            use()
    kms.update_crypto_key_version(crypto_key_version={"name": version, "state": State.ENABLED}, update_mask=mask)
    assert kms.decrypt(name=name, ciphertext=sealed).plaintext == b"x"


@pins("infrastructure", "Keys", "Keys rotate when their time comes, on the moved clock", documented="Key rotation")
def test_a_key_rotates_when_its_time_comes(kms: Any, place: Place, ring: str) -> None:
    assert place.cloud is not None
    start = int(place.cloud.now()) + DAY
    name = key(
        kms,
        ring,
        "rotating",
        rotation_period=duration_pb2.Duration(seconds=2 * DAY),
        next_rotation_time=timestamp_pb2.Timestamp(seconds=start),
    )
    sealed = kms.encrypt(name=name, plaintext=b"x").ciphertext
    advance(place, 6 * DAY)
    made = kms.get_crypto_key(name=name)
    assert made.primary.name.endswith("/cryptoKeyVersions/4" if place.cloud.now() >= start + 4 * DAY else "/3")
    assert made.next_rotation_time.timestamp() > place.cloud.now()
    assert kms.decrypt(name=name, ciphertext=sealed).plaintext == b"x"
    with pytest.raises(exceptions.InvalidArgument, match=r"Invalid rotation period\."):
        key(
            kms, ring, "quick", rotation_period=duration_pb2.Duration(seconds=3600), next_rotation_time=made.create_time
        )
    with pytest.raises(exceptions.InvalidArgument, match="next_rotation_time must be set"):
        key(kms, ring, "unset", rotation_period=duration_pb2.Duration(seconds=2 * DAY))


@pins(
    "infrastructure",
    "Keys",
    "A version is destroyed after its key's wait and restored until then; the name of a deleted key stays taken",
    documented="Key version states, deleting resources",
)
def test_a_version_is_destroyed_later_and_can_be_restored_until_then(kms: Any, place: Place, ring: str) -> None:
    name = key(kms, ring, "doomed", destroy_scheduled_duration=duration_pb2.Duration(seconds=2 * DAY))
    version = f"{name}/cryptoKeyVersions/1"
    sealed = kms.encrypt(name=name, plaintext=b"x").ciphertext
    assert kms.destroy_crypto_key_version(name=version).state == State.DESTROY_SCHEDULED
    with pytest.raises(exceptions.FailedPrecondition, match="current state is: DESTROY_SCHEDULED"):
        kms.decrypt(name=name, ciphertext=sealed)
    assert kms.restore_crypto_key_version(name=version).state == State.DISABLED
    advance(place, 3 * DAY)
    assert kms.get_crypto_key_version(name=version).state == State.DISABLED
    kms.destroy_crypto_key_version(name=version)
    advance(place, 3 * DAY)
    gone = kms.get_crypto_key_version(name=version)
    assert (gone.state, "destroy_event_time" in gone) == (State.DESTROYED, True)
    with pytest.raises(exceptions.FailedPrecondition, match="still has versions"):
        kms.delete_crypto_key(name=name)
    kms.delete_crypto_key_version(name=version).result()
    kms.delete_crypto_key(name=name).result()
    with pytest.raises(exceptions.NotFound):
        kms.get_crypto_key(name=name)
    with pytest.raises(exceptions.FailedPrecondition, match="cannot be used again"):
        key(kms, ring, name.rpartition("/")[2], exact=True)
    assert name in {one.original_resource for one in kms.list_retired_resources(parent=PARENT)}


@pytest.mark.parametrize(
    "algorithm",
    ["EC_SIGN_P256_SHA256", "EC_SIGN_P384_SHA384", "EC_SIGN_SECP256K1_SHA256", "RSA_SIGN_PSS_2048_SHA256",
     "RSA_SIGN_PKCS1_2048_SHA256", "EC_SIGN_ED25519"],
)  # fmt: skip
@pins("infrastructure", "Keys", "Signatures verify with the public key, in each algorithm", documented="Algorithms")
def test_a_signature_verifies_with_the_public_key(kms: Any, ring: str, algorithm: str) -> None:
    name = f"{key(kms, ring, f'sign-{algorithm}', algorithm)}/cryptoKeyVersions/1"
    shown = kms.get_public_key(name=name)
    assert shown.pem_crc32c == crc32c(shown.pem.encode())
    public: Any = serialization.load_pem_public_key(shown.pem.encode())
    data = b"pay 7 wei"
    if algorithm == "EC_SIGN_ED25519":
        public.verify(kms.asymmetric_sign(request={"name": name, "data": data}).signature, data)
        return
    kind = algorithm.rpartition("_")[2].lower()
    digest = hashlib.new(kind, data).digest()
    signed = kms.asymmetric_sign(
        request={"name": name, "digest": {kind: digest}, "digest_crc32c": crc32c(digest)},
    )
    assert signed.verified_digest_crc32c
    assert signed.signature_crc32c == crc32c(signed.signature)
    chosen = utils.Prehashed({"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}[kind])
    if algorithm.startswith("EC"):
        public.verify(signed.signature, digest, ec.ECDSA(chosen))
        if "SECP256K1" in algorithm:
            assert public.curve.name == "secp256k1"
    else:
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        public.verify(signed.signature, digest, pss if "PSS" in algorithm else padding.PKCS1v15(), chosen)
    with pytest.raises(exceptions.InvalidArgument, match="digest type does not fit"):
        kms.asymmetric_sign(request={"name": name, "digest": {"sha512": b"x" * 64}})
    with pytest.raises(exceptions.InvalidArgument, match="digest_crc32c did not match"):
        kms.asymmetric_sign(request={"name": name, "digest": {kind: digest}, "digest_crc32c": 1})


def test_what_is_sealed_with_the_public_key_is_opened(kms: Any, ring: str) -> None:
    name = f"{key(kms, ring, 'oaep', 'RSA_DECRYPT_OAEP_2048_SHA256')}/cryptoKeyVersions/1"
    public: Any = serialization.load_pem_public_key(kms.get_public_key(name=name).pem.encode())
    sealed = public.encrypt(b"to you", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    assert kms.asymmetric_decrypt(name=name, ciphertext=sealed).plaintext == b"to you"
    with pytest.raises(exceptions.InvalidArgument, match="Decryption failed"):
        kms.asymmetric_decrypt(name=name, ciphertext=b"x" * 256)


def test_a_mac_is_verified_and_a_wrong_one_is_not(kms: Any, ring: str) -> None:
    name = f"{key(kms, ring, 'mac', 'HMAC_SHA256')}/cryptoKeyVersions/1"
    made = kms.mac_sign(name=name, data=b"x").mac
    assert kms.mac_verify(name=name, data=b"x", mac=made).success
    assert not kms.mac_verify(name=name, data=b"y", mac=made).success
    with pytest.raises(exceptions.FailedPrecondition, match="The purpose of CryptoKey"):
        kms.asymmetric_sign(request={"name": name, "digest": {"sha256": b"x" * 32}})


@pytest.mark.parametrize("mode", ["GCM", "CBC", "CTR"])
def test_raw_encryption_is_plain_aes(kms: Any, ring: str, mode: str) -> None:
    name = f"{key(kms, ring, f'raw-{mode}', f'AES_256_{mode}')}/cryptoKeyVersions/1"
    sealed = kms.raw_encrypt(request={"name": name, "plaintext": b"raw"})
    request = {"name": name, "ciphertext": sealed.ciphertext, "initialization_vector": sealed.initialization_vector}
    assert kms.raw_decrypt(request=request).plaintext == b"raw"
    assert len(sealed.ciphertext) == {"GCM": 19, "CBC": 16, "CTR": 3}[mode]


@pins(
    "infrastructure",
    "Keys",
    "secp256k1 and random bytes are had with protection level HSM alone; here no hardware stands behind it",
    documented="Algorithms",
)
def test_what_only_hardware_has_is_refused_of_software(kms: Any, ring: str) -> None:
    template = {"algorithm": "EC_SIGN_SECP256K1_SHA256", "protection_level": "SOFTWARE"}
    made = {"purpose": "ASYMMETRIC_SIGN", "version_template": template}
    with pytest.raises(exceptions.InvalidArgument, match="not supported for protection level SOFTWARE"):
        kms.create_crypto_key(parent=ring, crypto_key_id="soft-k1", crypto_key=made)
    request = {"location": PARENT, "length_bytes": 32, "protection_level": kms_v1.ProtectionLevel.HSM}
    answer = kms.generate_random_bytes(request=request)
    assert (len(answer.data), answer.data_crc32c) == (32, crc32c(answer.data))
    with pytest.raises(exceptions.InvalidArgument, match="Only the HSM protection level"):
        kms.generate_random_bytes(request=request | {"protection_level": 1})


@pins("infrastructure", "Keys", "Key material lies in files that only their owner can read", ours=True)
def test_material_lies_in_files_of_the_owner_alone(kms: Any, place: Place, ring: str) -> None:
    key(kms, ring, "at-rest")
    assert place.cloud is not None
    folder = place.cloud.settings.state / "kms"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_material_is_whole_and_on_disk_before_anybody_counts_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, sync, synced = os.write, os.fsync, []

    def synced_too(handle: int) -> None:
        found = Path(os.readlink(f"/proc/self/fd/{handle}"))
        synced.append(
            (found.suffix, [path.suffix for path in found.iterdir()] if found.is_dir() else found.stat().st_size)
        )
        sync(handle)

    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, bytes(data)[:7]))
    monkeypatch.setattr(os, "fsync", synced_too)
    material = Material(tmp_path / "kms")
    material.write("version", b"a secret of many bytes")
    assert material.symmetric("version") == b"a secret of many bytes"
    assert synced == [("", [""]), (".part", 22), ("", [".key"])]


@pins("infrastructure", "Keys", "A key's policy says who may use it, for what", documented="Permissions and roles")
def test_who_may_sign_may_not_decrypt(kms: Any, place: Place, ring: str) -> None:
    name = key(kms, ring, "guarded")
    email = account(place, "kms-user")
    policy = kms.get_iam_policy(request={"resource": name})
    policy.bindings.add(role="roles/cloudkms.cryptoKeyEncrypter", members=[f"serviceAccount:{email}"])
    kms.set_iam_policy(request={"resource": name, "policy": policy})
    with grpc.insecure_channel(f"127.0.0.1:{place.ports['service_grpc']}") as channel:
        transport = kms_v1.KeyManagementServiceClient.get_transport_class("grpc")(channel=channel)
        theirs = kms_v1.KeyManagementServiceClient(transport=transport)
        assert place.cloud is not None
        sent = [("authorization", f"Bearer {place.cloud.identity.access_token(f'serviceAccount:{email}').token}")]
        sealed = theirs.encrypt(name=name, plaintext=b"x", metadata=sent).ciphertext
        with pytest.raises(exceptions.PermissionDenied, match=r"cloudkms\.cryptoKeyVersions\.useToDecrypt"):
            theirs.decrypt(name=name, ciphertext=sealed, metadata=sent)


def account(place: Place, name: str) -> str:
    async def make(cloud: Cloud) -> str:
        from local_cloud.descriptors import message

        email = f"{name}@{cloud.iam.accounts.domain}"
        if cloud.iam.accounts.find(email) is not None:
            return email
        return str(cloud.iam.accounts.create(name, message("google.iam.admin.v1.ServiceAccount")()).email)

    return place.do(make)


def test_the_rest_client_reads_and_changes_a_key(place: Place, ring: str, kms: Any) -> None:
    transport = kms_v1.KeyManagementServiceClient.get_transport_class("rest")
    host = f"127.0.0.1:{place.ports['rest']}"
    rest = kms_v1.KeyManagementServiceClient(
        transport=transport(host=host, credentials=ANONYMOUS, url_scheme="http"),
    )
    name = key(kms, ring, "by-rest")
    mask = field_mask_pb2.FieldMask(paths=["labels"])
    changed = rest.update_crypto_key(crypto_key=kms_v1.CryptoKey(name=name, labels={"team": "pay"}), update_mask=mask)
    assert dict(changed.labels) == {"team": "pay"}
    sealed = rest.encrypt(name=f"{name}/cryptoKeyVersions/1", plaintext=os.urandom(9))
    assert rest.decrypt(name=name, ciphertext=sealed.ciphertext).used_primary
    with pytest.raises(exceptions.BadRequest, match="'purpose' of a CryptoKey cannot be updated"):
        rest.update_crypto_key(
            crypto_key=kms_v1.CryptoKey(name=name, purpose=Purpose.MAC),
            update_mask=field_mask_pb2.FieldMask(paths=["purpose"]),
        )
