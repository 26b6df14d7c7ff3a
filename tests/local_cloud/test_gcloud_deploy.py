"""docs/deploy.md, the first time: what stands before Pulumi is made by the commands of that page as they stand."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local_cloud import gcloud as real
from tests.local_cloud.cloud_places import LOCATION, PROJECT, Place
from tests.local_cloud.gcloud import Gcloud

pytestmark = real.needed

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"


@pytest.fixture(scope="module")
def shell(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    with real.session(place.rest, tmp_path_factory.mktemp("gcloud")) as session:
        yield session


def first_step() -> list[list[str]]:
    """Its gcloud commands, with a project of ours."""
    step = PAGE.read_text().partition("**1. ")[2].partition("**2. ")[0]
    lines = re.findall(r"^    gcloud (.+)$", step, re.MULTILINE)
    return [shlex.split(line.replace("PROJECT", PROJECT).replace("REGION", LOCATION)) for line in lines]


def test_the_state_of_pulumi_gets_a_versioned_bucket_and_a_key(shell: Gcloud) -> None:
    commands = first_step()
    assert len(commands) == 6
    for words in commands:
        shell.ok(*words)

    bucket = shell.json("storage", "buckets", "describe", f"gs://{PROJECT}-pulumi")
    assert (bucket["versioning_enabled"], bucket["uniform_bucket_level_access"]) == (True, True)
    assert bucket["public_access_prevention"] == "enforced"
    key = shell.json("kms", "keys", "describe", "state", "--keyring=pulumi", f"--location={LOCATION}")
    assert (key["purpose"], key["rotationPeriod"]) == ("ENCRYPT_DECRYPT", "7776000s")

    page = PAGE.read_text().replace("PROJECT", PROJECT).replace("REGION", LOCATION)
    assert page.count(f"gcpkms://{key['name']}") == 2, "Pulumi is told of the key that was made"
