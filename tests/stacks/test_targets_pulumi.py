"""The first order of docs/deploy.md with Pulumi's own engine: accounts and logins first, and nothing else with them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from spec import load
from tests.local_engine.local_cloud import running
from tests.stacks.pulumi_cli import ROOT, Pulumi
from tests.stacks.test_apply import furnish
from tests.stacks.test_pulumi import config

pytestmark = pytest.mark.engine


def documented() -> list[str]:
    """The options of step 5."""
    (line,) = re.findall(r"pulumi up --stack ENV (--target .+)", (ROOT / "docs/deploy.md").read_text())
    return shlex.split(line)


def test_accounts_and_logins_alone_come_first(tmp_path: Path) -> None:
    pulumi = Pulumi(tmp_path / "pulumi")
    with running(tmp_path) as ports:
        for layer in ("foundation-local", "local"):
            pulumi.init(layer, config(layer, ports))
        pulumi.up("foundation-local", "--skip-preview")
        furnish(ports, tmp_path / "image")
        pulumi.up("local", "--skip-preview", *documented())
        made = [one for one in pulumi.held("local") if one.get("custom") and one["type"].startswith("gcp:")]
        assert {one["type"] for one in made} == {
            "gcp:projects/iAMMember:IAMMember",
            "gcp:serviceaccount/account:Account",
            "gcp:sql/user:User",
        }
        accounts = {one["inputs"]["accountId"] for one in made if one["type"].endswith(":Account")}
        assert accounts == set(load(ROOT).account_ids())
