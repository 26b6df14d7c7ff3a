"""What is in an image and what is not: a commit's listed files, the lock's wheels, the base, and no more."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.images import archives, code, debian, dockerfile, wheels
from ops.images.commit import find
from tests.ops.alone import ROOT
from tests.ops.images.reading import config, entries, text
from tests.ops.images.toy import Toy

KEY = "-----BEGIN PRIVATE " + "KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n"
REAL = (ROOT / dockerfile.PATH).read_text()


def test_a_secret_that_lies_in_the_tree_stays_out(toy: Toy) -> None:
    before = toy.build()
    for path in ("service_code/.env", "service_code/one/key.pem", ".env", "service_code/one/new.py"):
        toy.write(path, KEY)
    assert toy.build().image.digest == before.image.digest, "what is not committed is not in the image"
    toy.commit(service_code__one__credentials_dot_json=KEY)  # all of them now
    with pytest.raises(OpsError, match=r"service_code/one/new\.py:1: a private key stands here"):
        toy.build()
    toy.commit(service_code__one__new_dot_py="x = 1\n")
    ours = {
        path for path, entry in entries(toy.build()).items() if path.startswith("app/service_code/") and entry.isfile()
    }
    assert ours == {f"app/service_code/{name}" for name in ("one/app.py", "one/new.py", "migrations/1.sql")}


def test_what_is_edited_is_not_built_unless_a_commit_is_named(toy: Toy) -> None:
    before = toy.build()
    toy.write("service_code/one/app.py", "print('edited')\n")
    with pytest.raises(OpsError, match=r"service_code/one/app\.py has changes that are not committed") as refused:
        toy.build()
    assert "--commit HEAD" in refused.value.fix
    assert toy.build("HEAD").image.digest == before.image.digest
    toy.write("service_code/one/app.py", "print('one')\n")
    toy.write("requirements/dev.txt", "edited, and nothing of the image's\n")
    assert toy.build().image.digest == before.image.digest


def test_nothing_in_an_image_leads_elsewhere(toy: Toy) -> None:
    (toy.root / "service_code/one/link.py").symlink_to("/etc/passwd")
    toy.commit()
    with pytest.raises(OpsError, match=r"link\.py is a link"):
        toy.build()


def test_everything_is_roots_and_services_run_as_another(toy: Toy) -> None:
    built = toy.build()
    found = entries(built)
    assert {(info.uid, info.gid) for info in found.values()} == {(0, 0)}
    writable = {path for path, info in found.items() if info.mode & 0o022 and not info.issym()}
    assert writable == {"tmp", "var/tmp"}
    assert config(built)["config"]["User"] == "10001"
    assert "sluice:x:10001:10001:" in text(built, "etc/passwd")


def test_a_base_is_its_packages_unpacked_and_their_scripts_stood_in_for(toy: Toy) -> None:
    built = toy.build()
    found = entries(built)
    assert "usr/lib/x86_64-linux-gnu/libtiny.so.1" in found, "Debian's /lib is a link to /usr/lib"
    assert found["lib"].linkname == "usr/lib"
    assert "usr/share/man/x.gz" not in found
    assert text(built, debian.BUNDLE) == "a\nb\n"
    assert text(built, "var/lib/dpkg/status.d/libtiny").startswith("Package: libtiny\n")


def test_a_wheel_is_installed_as_pip_does_less_what_services_do_not_need(toy: Toy) -> None:
    built = toy.build()
    found = {path.removeprefix(f"{wheels.SITE}/") for path in entries(built) if path.startswith(f"{wheels.SITE}/")}
    assert {"tiny/__init__.py", "tiny/fast.cpython-311-x86_64-linux-gnu.so", "tiny-1.0.dist-info/METADATA"} <= found
    assert not {"tiny/fast.pyx", "tiny/tests/test_tiny.py"} & found
    assert text(built, f"{wheels.VENV}/bin/tinytool") == f"#!/{wheels.VENV}/bin/python\nprint(1)\n"
    assert entries(built)[f"{wheels.VENV}/bin/tinytool"].mode == 0o755
    assert entries(built)[f"{wheels.VENV}/bin/python"].linkname == "/usr/bin/python3.11"
    record = text(built, f"{wheels.SITE}/tiny-1.0.dist-info/RECORD").splitlines()
    hashed = base64.urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).decode().rstrip("=")
    assert f"tiny/__init__.py,sha256={hashed},6" in record
    assert any(line.startswith("../../../bin/tinytool,sha256=") for line in record)


def test_what_has_another_digest_than_its_lock_is_not_taken(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)  # a machine without apt
    for path in archives.cache("debian").iterdir():
        path.write_bytes(b"!<arch>\nsomething else")
    with pytest.raises(OpsError, match=r"libtiny 1\.0 .* could not be fetched: there is no apt") as refused:
        toy.build()
    assert "SLUICE_DEBIAN=https://HOST/{archive}" in refused.value.fix


def test_a_mirror_is_believed_as_far_as_the_digests_go(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = toy.build()
    mirror = tmp_path / "mirror/debian/pool/main/t"
    mirror.mkdir(parents=True)
    lock = debian.read_lock((toy.root / debian.LOCK).read_text())
    for one in lock:
        (archives.cache("debian") / one.sha256).rename(mirror / Path(one.path).name)
    monkeypatch.setenv("SLUICE_DEBIAN", f"{(tmp_path / 'mirror').as_uri()}/{{archive}}")
    assert toy.build().image.digest == before.image.digest
    (archives.cache("debian") / lock[0].sha256).unlink()
    (mirror / Path(lock[0].path).name).write_bytes(b"!<arch>\nsomething else")
    with pytest.raises(OpsError, match="has another digest"):
        toy.build()


def test_what_a_mirror_has_dropped_comes_from_the_snapshots_of_the_locks_day(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = toy.build()
    text = (toy.root / debian.LOCK).read_text()
    first, *others = debian.read_lock(text)
    places = {"mirror/debian": others, "snapshots/debian/20260102T235959Z": [first]}
    for folder, held in places.items():
        for one in held:
            path = tmp_path / folder / one.path
            path.parent.mkdir(parents=True, exist_ok=True)
            (archives.cache("debian") / one.sha256).rename(path)
    named = (f"{(tmp_path / name).as_uri()}/{{archive}}" for name in ("mirror", "snapshots"))
    monkeypatch.setenv("SLUICE_DEBIAN", "{} {}/{{date}}".format(*named))
    with pytest.raises(OpsError, match="names no date"):
        toy.build()
    toy.commit(service_code__base_dot_lock=f"date 20260102T235959Z\n{text}")
    assert toy.build().layers[0].diff_id == before.layers[0].diff_id


def test_a_wheel_that_the_lock_does_not_have_is_not_taken(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    (place,) = archives.cache("wheels").rglob("*.whl")
    place.write_bytes(place.read_bytes() + b" ")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(OpsError, match="pip could not fetch"):
        toy.build()


def test_the_dockerfile_says_what_is_built() -> None:
    said = dockerfile.read(REAL)
    assert said.copied == [("packages", f"/{wheels.VENV}", f"/{wheels.VENV}"), ("", "service_code", "service_code")]
    assert (said.user, said.folder) == ("10001", f"/{code.WHERE}")
    assert said.entrypoint == ["python", "-m", "service_code.kit.main"]
    assert said.env["PATH"].startswith(f"/{wheels.VENV}/bin:/usr/local/sbin:")
    assert "--require-hashes" in REAL
    for folder in re.findall(r"-name (\w+)", REAL.partition("-exec rm")[0]):
        assert wheels.DROPPED.fullmatch(f"x/{folder}/y.py"), f"docker leaves {folder} out"
    lines = (ROOT / f"{dockerfile.PATH}.dockerignore").read_text().splitlines()
    seen = {f"service_code/**/*{suffix}" for suffix in code.SUFFIXES} | {wheels.LOCK}
    assert next(line for line in lines if not line.startswith("#")) == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == seen


def test_a_line_that_is_none_of_the_lock_is_refused_with_its_number() -> None:
    with pytest.raises(OpsError, match=r"base\.lock:2: this is no line of the lock"):
        debian.read_lock("# words\nlibc6 2.36 pool/main/x.deb\n")


@pytest.mark.parametrize(
    ("line", "refused"),
    [("USER 10001", "USER root"), ("USER 10001", "USER 0:0"), ("USER 10001", "VOLUME /data\nUSER 10001")],
)
def test_a_dockerfile_that_would_make_another_image_is_refused(line: str, refused: str) -> None:
    with pytest.raises(OpsError, match=r"without a user of its own|VOLUME has no meaning"):
        dockerfile.read(REAL.replace(line, refused))


def test_the_code_of_this_checkout_holds_no_secret_and_every_kind_of_file_it_needs() -> None:
    commit = find(ROOT, "HEAD")
    tree = code.tree(commit)
    committed = {path for path in commit.files(["service_code"]) if f"app/{path}" not in tree}
    assert committed == {f"service_code/{name}" for name in ("Dockerfile", "Dockerfile.dockerignore", "base.lock")}


def test_the_locks_of_this_checkout_are_read() -> None:
    packages = debian.read_lock((ROOT / debian.LOCK).read_text())
    assert {"libc6", "libssl3", "python3.11-minimal", "ca-certificates"} <= {one.name for one in packages}
    assert {one.archive for one in packages} <= {"debian", "debian-security"}
    fields = {one.name: {"Version": one.version, "SHA256": one.sha256, "Filename": one.path} for one in packages}
    again = debian.locked(list(fields), fields.__getitem__, "20260102T235959Z")
    assert (debian.read_lock(again), debian.dated(again)) == (packages, "20260102T235959Z")
    lock = wheels.read_lock((ROOT / wheels.LOCK).read_text())
    text = (ROOT / wheels.LOCK).read_text()
    assert len(lock) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    assert all(re.fullmatch("[0-9a-f]{64}", one) for package in lock for one in package.hashes)
