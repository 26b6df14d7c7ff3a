"""What several benchmarks need: broken promises, percentiles, the memory of a set of processes, blocks as they come."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterable
from typing import Any

import psutil


class NotKeptError(RuntimeError):
    """A promise that a run was to keep was not kept: in what way, and the run's figures."""

    def __init__(self, why: str, figures: dict[str, Any]) -> None:
        super().__init__(why)
        self.figures = figures


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which this share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: list[float]) -> dict[str, float]:
    """n, p50, p95, p99 and the largest."""
    points = {f"p{share}": round(percentile(values, share / 100), 2) for share in (50, 95, 99)}
    return {"n": len(values), **points, "max": round(max(values), 2)}


def family(pid: int) -> list[psutil.Process]:
    """A process and all that came from it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def memory_mb(pid: int) -> dict[str, float]:
    """Proportional memory (shared pages divided among those that share them) of a family, by process name, in MB."""
    sizes: dict[str, float] = {}
    for process in family(pid):
        try:
            info = process.memory_full_info()
            words = process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        name = label(words)
        sizes[name] = sizes.get(name, 0) + getattr(info, "pss", info.rss) / 1e6
    return {name: round(size, 1) for name, size in sorted(sizes.items(), key=lambda item: -item[1])}


def label(words: list[str]) -> str:
    """A short name for a command line: the module that Python runs, or the program."""
    if "-m" in words[:4]:
        return words[words.index("-m") + 1]
    return words[0].rsplit("/", 1)[-1].split(":")[0] if words else "?"


def rpc(url: str, method: str, *params: Any) -> Any:
    """A JSON-RPC call to a chain."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["result"]


class BlockWatch:
    """Notes when each block was first seen, by this machine's clock, to about 10 ms."""

    def __init__(self, url: str) -> None:
        self.seen: dict[int, float] = {}
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> BlockWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            number = int(rpc(self._url, "eth_blockNumber"), 16)
            self.seen.setdefault(number, time.time())
