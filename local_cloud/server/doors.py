"""Opens and shuts the four listeners: REST and gRPC, for the owner and for services.

The REST doors run on uvicorn with httptools, the gRPC doors on grpc.aio; both on the loop that the cloud runs on.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import grpc.aio
import uvicorn

from local_cloud.cloud import Cloud
from local_cloud.registry import Door
from local_cloud.server.grpc_door import OPTIONS, GrpcDoor
from local_cloud.server.rest import RestDoor, build_router

#: How long an open request may go on when the doors shut.
GRACE_SECONDS = 3


class PortInUseError(Exception):
    """A port that was asked for is taken; the message names it and the flag to change."""


class _Quiet(uvicorn.Server):
    """A uvicorn server whose signals are the process's own affair."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Doors:
    """The listeners of one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._servers: list[tuple[_Quiet, asyncio.Task[None]]] = []
        self._grpc: list[grpc.aio.Server] = []

    async def open(self) -> None:
        """Binds all four ports (all or none), fills `cloud.ports`, starts the APIs, then answers."""
        settings = self._cloud.settings
        wanted = {"rest": settings.rest_port, "service_rest": settings.service_rest_port}
        sockets: dict[str, socket.socket] = {}
        try:
            for name, port in wanted.items():
                sockets[name] = _bind(settings.host, port, name)
                self._cloud.ports[name] = sockets[name].getsockname()[1]
            for name, port, door in (
                ("grpc", settings.grpc_port, Door.OWNER),
                ("service_grpc", settings.service_grpc_port, Door.SERVICE),
            ):
                self._cloud.ports[name] = self._bind_grpc(name, port, door)
        except BaseException:
            for bound in sockets.values():
                bound.close()
            raise
        await self._cloud.start()
        router = build_router(self._cloud)
        for name, door in (("rest", Door.OWNER), ("service_rest", Door.SERVICE)):
            await self._serve(RestDoor(self._cloud, door, router), sockets[name])
        for server in self._grpc:
            await server.start()

    async def close(self) -> None:
        """Stops taking calls, lets open ones end."""
        for server, _ in self._servers:
            server.should_exit = True
        await asyncio.gather(*(server.stop(GRACE_SECONDS) for server in self._grpc))
        for _, task in self._servers:
            await asyncio.wait([task], timeout=GRACE_SECONDS + 1)
            task.cancel()

    async def _serve(self, app: RestDoor, bound: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            loop="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=GRACE_SECONDS,
            backlog=2048,
        )
        server = _Quiet(config)
        task = asyncio.create_task(server.serve(sockets=[bound]))
        self._servers.append((server, task))
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0)

    def _bind_grpc(self, name: str, port: int, door: Door) -> int:
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((GrpcDoor(self._cloud, door),))
        try:
            chosen = server.add_insecure_port(f"{self._cloud.settings.host}:{port}")
        except RuntimeError:
            chosen = 0
        if not chosen:
            raise _in_use(name, port)
        self._grpc.append(server)
        return int(chosen)


def _bind(host: str, port: int, name: str) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only where it is: without it each answer waits 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(2048)
    except OSError:
        bound.close()
        raise _in_use(name, port) from None
    os.set_inheritable(bound.fileno(), False)
    return bound


def _in_use(name: str, port: int) -> PortInUseError:
    flag = f"--{name.replace('_', '-')}-port"
    return PortInUseError(f"Port {port} is in use: give another {flag}, or {flag} 0 for a free one.")
