"""A tiny image for the tests of revisions: a folder with one ASGI module, started by uvicorn as a service is."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from local_cloud.engines.forks import Image

APP = """
import asyncio, json, os, signal, sys, time
import uvicorn

async def line(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": event.get("bytes"), "text": event.get("text")})

async def echo(receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    more = True
    while more:
        event = await receive()
        more = event.get("more_body", False)
        await send({"type": "http.response.body", "body": event["body"] + b"\\n", "more_body": True})
    await send({"type": "http.response.body", "body": b""})

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        return await line(receive, send)
    if scope["type"] != "http":
        return
    if scope["path"] == "/echo":
        return await echo(receive, send)
    body, path = b"", scope["path"]
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    status, headers = 200, []
    answer = {"path": path, "pid": os.getpid(), "body": body.decode("utf-8", "replace")}
    answer["query"] = scope["query_string"].decode()
    answer["headers"] = {k.decode(): v.decode() for k, v in scope["headers"]}
    if path == "/env":
        answer["env"] = dict(os.environ)
        answer["argv"] = sys.argv
    elif path == "/slow":
        await asyncio.sleep(float(body or b"5"))
    elif path == "/crash":
        os.kill(os.getpid(), signal.SIGKILL)
    elif path == "/say":
        sys.stdout.write(body.decode() + "\\n")
    elif path == "/wait":
        while not os.path.exists(body.decode()):
            await asyncio.sleep(0.005)
    elif path.startswith("/file/"):
        name = path[len("/file"):]
        if os.path.isdir(name):
            answer["files"] = sorted(os.listdir(name))
        elif os.path.exists(name):
            answer["text"] = open(name).read()
            answer["mode"] = oct(os.stat(name).st_mode & 0o777)
    elif path.startswith("/write/"):
        try:
            with open(path[len("/write"):], "wb") as file:
                file.write(body)
        except OSError as refused:
            answer["refused"] = refused.strerror
    elif path == "/needs-header" and b"x-probe" not in dict(scope["headers"]):
        status = 500
    elif path in ("/live", "/ready") and os.path.exists(f"{os.environ['SICK']}{path.replace('/', '.')}.{os.getpid()}"):
        status = 500
    elif path == "/teapot":
        status, headers = 418, [(b"x-kettle", b"on"), (b"connection", b"close")]
    headers.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})

def task():
    what, *rest = sys.argv[1:] or ["done"]
    index, attempt = os.environ["CLOUD_RUN_TASK_INDEX"], os.environ["CLOUD_RUN_TASK_ATTEMPT"]
    print("task", index, "attempt", attempt)
    if what == "exit":
        sys.exit(int(rest[0]))
    elif what == "flaky":
        sys.exit(0 if int(attempt) >= int(rest[0]) else 7)
    elif what == "wait":
        open(rest[0] + "." + index + "." + attempt, "w").close()
        while not os.path.exists(rest[0]):
            time.sleep(0.005)
    elif what == "env":
        with open(os.path.join(rest[0], index), "w") as file:
            json.dump({"env": dict(os.environ), "argv": sys.argv, "cwd": os.getcwd()}, file)

def main():
    if "CLOUD_RUN_JOB" in os.environ:
        return task()
    if os.environ.get("FAIL_AT_START"):
        print("no configuration")
        sys.exit(3)
    print("starting", *sys.argv[1:])
    if "AT_THE_END" in os.environ:  # uvicorn gives the signal back when it has ended
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(open(os.environ["AT_THE_END"], "w").close()))
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", lifespan="off")
"""

#: A server that speaks gRPC alone, with the health service; it is well while the file GRPC_WELL is there.
GRPC_APP = """
import os
from concurrent.futures import ThreadPoolExecutor

import grpc

def check(request, context):
    well = os.path.exists(os.environ["GRPC_WELL"]) and request == b"\\n\\x04mine"
    return b"\\x08\\x01" if well else b"\\x08\\x02"

def main():
    server = grpc.server(ThreadPoolExecutor(2))
    methods = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", methods),))
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    server.start()
    server.wait_for_termination()
"""


def tiny_image(folder: Path, digest: str = "sha256:" + "a" * 64) -> Image:
    """Write the tiny image into a folder and describe it."""
    (folder / "tiny_app.py").write_text(APP)
    (folder / "grpc_app.py").write_text(GRPC_APP)
    return Image(digest=digest, root=str(folder), entry="tiny_app:main", preload=("uvicorn", "tiny_app"))


async def until(condition: Callable[[], bool], patience: float = 30.0) -> None:
    """Wait for what a process does in its own time; fails when it does not."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110 a process sets no event
            await asyncio.sleep(0.005)
