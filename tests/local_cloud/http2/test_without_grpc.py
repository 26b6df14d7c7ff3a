"""The local cloud speaks gRPC and loads no library for it."""

import subprocess
import sys

from tests.local_cloud.cloud_places import ROOT

LOADS = """
import sys
import local_cloud.__main__, local_cloud.running, local_cloud.standalone
from local_cloud.registry import discover
discover()
print(sorted(name for name in sys.modules if f"{name}.".startswith(("grpc.", "google.cloud.", "google.api_core."))))
"""


def test_no_grpc_library_is_loaded_with_the_local_cloud() -> None:
    told = subprocess.run([sys.executable, "-c", LOADS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
