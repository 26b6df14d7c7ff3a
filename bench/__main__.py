"""`python -m bench [name ...]`: run the benchmarks of this folder, print a line a figure, and all as JSON last.

A benchmark is a module with `def run(say) -> dict`; its name is the file's. Those of PROOFS break something on purpose,
for long, and say whether a promise was kept; `proofs` names all of them, and no name all others. A promise that was not
kept ends this with 1, after the others have run.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import platform
import sys
import time

import bench
from bench._measure import NotKeptError

PROOFS = ("chain_faults", "nonces", "simulation", "mixed", "cloud_tasks_kills", "pubsub_kills", "rollout", "rollback")


def main(wanted: list[str]) -> int:
    """Run the benchmarks named, or all that are no proofs."""
    names = [module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_")]
    wanted = [name for given in wanted for name in (PROOFS if given == "proofs" else (given,))]
    unknown = set(wanted) - set(names)
    if unknown:
        print(
            f"no benchmark named {', '.join(sorted(unknown))}; there are: {', '.join(names)}, proofs", file=sys.stderr
        )
        return 2
    results: dict[str, object] = {"machine": {"cpus": os.cpu_count(), "python": platform.python_version()}}
    broken: list[str] = []
    for name in wanted or [name for name in names if name not in PROOFS]:
        print(f"\n{name}", flush=True)
        began = time.monotonic()
        try:
            results[name] = importlib.import_module(f"bench.{name}").run(lambda line: print(f"  {line}", flush=True))
        except NotKeptError as error:
            results[name] = error.figures
            broken.append(f"{name}: {error}")
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    print(json.dumps(results, indent=1))
    for what in broken:
        print(f"NOT KEPT  {what}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
