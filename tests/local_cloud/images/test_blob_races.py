"""Blobs that come and go at the same time: what was acknowledged has its bytes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_cloud import files
from local_cloud.cloud import Cloud
from local_cloud.images import blobs as blobs_module
from local_cloud.images.manifests import digest_of
from local_cloud.images.registry import Images
from local_cloud.images.uploads import SessionGoneError
from tests.fidelity import pins

HERE = "projects/sluice-local/locations/us-central1/repositories/r"


def slow_places(monkeypatch: pytest.MonkeyPatch, cloud: Cloud, *, broken: bool = False) -> None:
    """A file has its place, and then the store writes all that it was told before anybody goes on."""
    loop, place = asyncio.get_running_loop(), files.place

    async def written() -> None:
        await cloud.store.committed()

    def slow(path: Path, target: Path, size: int | None = None) -> None:
        place(path, target, size)
        asyncio.run_coroutine_threadsafe(written(), loop).result(30)
        if broken:
            raise OSError("the disk is full")

    monkeypatch.setattr(files, "place", slow)
    monkeypatch.setattr(blobs_module, "place", slow)


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


@pins(
    "artifact_registry",
    "Images",
    "A layer that is pushed again while the last image that had it is deleted keeps its bytes",
    ours=True,
)
@pytest.mark.parametrize("in_pieces", [False, True])
async def test_a_blob_that_comes_again_while_it_goes_keeps_its_file(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, in_pieces: bool
) -> None:
    images, data = cloud.use(Images), b"a layer" * 1000
    digest = await images.blobs.put(HERE, data)
    await cloud.store.committed()
    slow_places(monkeypatch, cloud)
    session = images.uploads.begin(HERE)
    if in_pieces:
        await images.uploads.write(session, pieces(data))
    images.blobs.drop(HERE, digest)
    if in_pieces:
        await images.uploads.finish(session, digest)
    else:
        await images.blobs.put(HERE, data)
    await cloud.store.committed()
    assert images.blobs.find(HERE, digest) is not None
    assert images.blobs.path(digest).read_bytes() == data


async def test_a_blob_whose_coming_fails_leaves_no_file(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs, data = cloud.use(Images).blobs, b"a layer"
    digest = await blobs.put(HERE, data)
    await cloud.store.committed()
    slow_places(monkeypatch, cloud, broken=True)
    blobs.drop(HERE, digest)
    with pytest.raises(OSError, match="disk is full"):
        await blobs.put(HERE, data)
    await cloud.store.committed()
    await asyncio.sleep(0)
    assert blobs.find(HERE, digest) is None
    assert not blobs.path(digest).exists()


@pins(
    "artifact_registry",
    "Images",
    "An upload that is cancelled while a piece is on its way stays cancelled",
    documented="OCI distribution specification 1.1 (cancelling)",
)
async def test_a_cancelled_session_is_not_revived_by_its_last_piece(cloud: Cloud) -> None:
    uploads = cloud.use(Images).uploads
    session = uploads.begin(HERE)

    async def cancelled() -> AsyncIterator[bytes]:
        yield b"first"
        uploads.cancel(session)
        await cloud.store.committed()
        yield b"second"

    with pytest.raises(SessionGoneError):
        await uploads.write(session, cancelled())
    assert uploads.find(HERE, session) is None
    await cloud.store.committed()
    assert not list((cloud.settings.state / "uploads").iterdir())


async def test_a_session_that_is_cancelled_while_it_ends_makes_no_blob_of_zeros(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, data = cloud.use(Images), b"a layer"
    session, digest = images.uploads.begin(HERE), digest_of(data)
    await images.uploads.write(session, pieces(data))
    adopt = images.blobs.adopt

    async def late(repository: str, digest: str, path: Path, size: int) -> None:
        images.uploads.cancel(session)
        await cloud.store.committed()
        await adopt(repository, digest, path, size)

    monkeypatch.setattr(images.blobs, "adopt", late)
    with pytest.raises(SessionGoneError):
        await images.uploads.finish(session, digest)
    assert images.blobs.find(HERE, digest) is None
    assert not images.blobs.path(digest).exists()
