"""kill -9 while objects are written: what was acknowledged is there, whole; nothing is there by half."""

import hashlib
import http.client
import os
import threading
from collections.abc import Callable
from typing import Any

from tests.fidelity import pins
from tests.local_cloud.run_client import http as ask

SIZES = (10, 5_000, 40_000)


@pins(
    "storage",
    "Objects",
    "After kill -9 every acknowledged object is there, whole, and the next compare-and-set goes on from its generation",
    ours=True,
)
def test_what_was_acknowledged_outlives_a_kill(start: Callable[..., Any]) -> None:
    first = start("cloud")
    assert ask(f"{first.rest}/storage/v1/b?project=sluice-local", method="POST", body=b'{"name": "kill"}').status == 200
    said: dict[str, tuple[int, str]] = {}
    enough = threading.Event()

    def write(writer: int) -> None:
        generation, number = 0, 0
        try:
            while True:
                number += 1
                data = os.urandom(SIZES[number % 3])
                query = f"uploadType=media&name=w{writer}&ifGenerationMatch={generation}"
                url = f"{first.rest}/upload/storage/v1/b/kill/o?{query}"
                answer = ask(url, method="POST", body=data)
                assert answer.status == 200, answer.body
                generation = int(answer.json["generation"])
                said[f"w{writer}"] = (generation, hashlib.sha256(data).hexdigest())
                if number > 15:
                    enough.set()
        except (OSError, http.client.HTTPException):
            return

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    enough.wait(30)
    first.popen.kill()
    first.popen.wait()
    for thread in threads:
        thread.join()
    second = start("cloud")
    base = f"{second.rest}/storage/v1/b/kill/o"
    assert len(said) == 3
    for name, (generation, digest) in said.items():
        found = ask(f"{base}/{name}").json
        data = ask(f"{base}/{name}?alt=media").body
        assert len(data) == int(found["size"])
        # A write whose answer was lost may be there, as the next generation.
        assert int(found["generation"]) >= generation
        if int(found["generation"]) == generation:
            assert hashlib.sha256(data).hexdigest() == digest
        again = f"{second.rest}/upload/storage/v1/b/kill/o?uploadType=media&name={name}"
        assert ask(f"{again}&ifGenerationMatch={int(found['generation']) - 1}", method="POST", body=b"x").status == 412
        assert ask(f"{again}&ifGenerationMatch={found['generation']}", method="POST", body=b"x").status == 200
    files = [one for one in (second.state / "objects").rglob("*") if one.is_file()]
    assert len(files) == 3
