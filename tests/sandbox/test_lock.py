"""The chain's program is pinned by version and hash, and its lock names no host."""

from __future__ import annotations

import json

from tests.sandbox.conftest import ROOT


def test_every_package_has_a_hash_and_no_address() -> None:
    wanted = json.loads((ROOT / "package.json").read_text())["optionalDependencies"]
    locked = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    packages = {name.removeprefix("node_modules/"): entry for name, entry in locked.items() if name}
    assert wanted.items() <= {name: entry["version"] for name, entry in packages.items()}.items()
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name
    assert "://" not in json.dumps(locked)
