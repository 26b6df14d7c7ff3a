"""`python -m bench [name ...]`: run the benchmarks of this folder, print a line a figure, and all as JSON last.

A benchmark is a module with `def run(say) -> dict`; its name is the file's.
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


def main(wanted: list[str]) -> int:
    """Run the benchmarks named, or all of them."""
    names = [module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_")]
    unknown = set(wanted) - set(names)
    if unknown:
        print(f"no benchmark named {', '.join(sorted(unknown))}; there are: {', '.join(names)}", file=sys.stderr)
        return 2
    results: dict[str, object] = {"machine": {"cpus": os.cpu_count(), "python": platform.python_version()}}
    for name in wanted or names:
        print(f"\n{name}", flush=True)
        began = time.monotonic()
        results[name] = importlib.import_module(f"bench.{name}").run(lambda line: print(f"  {line}", flush=True))
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    print(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
