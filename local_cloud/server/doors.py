"""Opens and shuts the four listeners: for the owner and for services, one for REST and gRPC and one for gRPC alone.

The REST doors run on uvicorn with httptools and take gRPC too (one_port); a gRPC door is http2/ alone. All are on the
loop that the cloud runs on.
"""

import asyncio
import contextlib
import errno
import functools
import os
import socket
from collections.abc import Iterator

import uvicorn

from local_cloud.cloud import Cloud
from local_cloud.registry import Door
from local_cloud.server.grpc_door import GrpcDoor
from local_cloud.server.http2.connection import Connection
from local_cloud.server.http2.lending import House
from local_cloud.server.one_port import FirstBytes
from local_cloud.server.rest import RestDoor, build_router
from local_cloud.server.upgrades import Upgrade

#: How long an open request may go on when the doors shut.
GRACE_SECONDS = 3


#: The listeners of a door: REST's with gRPC, and gRPC's own.
LISTENERS = {Door.OWNER: ("rest", "grpc"), Door.SERVICE: ("service_rest", "service_grpc")}

#: The settings' names of ports on the command line.
FLAGS = {
    "rest": "--port",
    "grpc": "--grpc-port",
    "service_rest": "--service-rest-port",
    "service_grpc": "--service-grpc-port",
}


class PortInUseError(Exception):
    """A port that was asked for is taken or cannot be had; the message names it and the flag to change."""


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
        self._grpc: list[asyncio.Server] = []
        self._doors: list[GrpcDoor] = []
        self._connections: set[Connection] = set()
        self._house = House()
        self._tls_seen: set[int] = set()

    async def open(self) -> None:
        """Binds all four ports (all or none), fills `cloud.ports`, starts the APIs, then answers."""
        settings = self._cloud.settings
        wanted = {
            "rest": settings.rest_port,
            "service_rest": settings.service_rest_port,
            "grpc": settings.grpc_port,
            "service_grpc": settings.service_grpc_port,
        }
        sockets: dict[str, socket.socket] = {}
        try:
            for name, port in wanted.items():
                sockets[name] = _bind(settings.host, port, name)
                self._cloud.ports[name] = sockets[name].getsockname()[1]
        except BaseException:
            for bound in sockets.values():
                bound.close()
            raise
        await self._cloud.start()
        router = build_router(self._cloud)
        for door, (rest, grpc) in LISTENERS.items():
            calls = GrpcDoor(self._cloud, door)
            self._doors.append(calls)
            await self._serve(rest, RestDoor(self._cloud, door, router), calls, sockets[rest])
            make = functools.partial(Connection, calls.accept, self._connections, self._house)
            server = await asyncio.get_running_loop().create_server(make, sock=sockets[grpc], backlog=2048)
            self._grpc.append(server)

    async def close(self) -> None:
        """Stops taking calls, lets open ones end."""
        for server, _ in self._servers:
            server.should_exit = True
        for listener in self._grpc:
            listener.close()
        open_calls = list(self._connections)
        for connection in open_calls:
            connection.shutdown()
        if open_calls:
            await asyncio.wait([connection.closed for connection in open_calls], timeout=GRACE_SECONDS)
        for server, task in self._servers:
            await asyncio.wait([task], timeout=GRACE_SECONDS + 1)
            task.cancel()
            open_calls += [open_ for open_ in server.server_state.connections if isinstance(open_, Connection)]
        for connection in open_calls:
            connection.abort()
        for door in self._doors:
            door.stop()

    async def _serve(self, name: str, app: RestDoor, calls: GrpcDoor, bound: socket.socket) -> None:
        cloud = self._cloud
        first = functools.partial(
            FirstBytes,
            grpc=calls.accept,
            house=self._house,
            on_tls=functools.partial(self._spoke_tls, cloud.ports[name]),
        )
        config = uvicorn.Config(
            app,
            http=first,  # type: ignore[arg-type]  # a factory does as well as the class
            ws=Upgrade,
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

    def _spoke_tls(self, port: int) -> None:
        """Said once: a client that tries does so again and again."""
        if port in self._tls_seen:
            return
        self._tls_seen.add(port)
        self._cloud.log.event(
            "WARNING",
            f"A client spoke TLS to port {port}, which is plain text: give it an http:// endpoint for REST, or an "
            "insecure channel for gRPC.",
        )


def _bind(host: str, port: int, name: str) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only where it is: without it each answer waits 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(2048)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise _in_use(name, port) from None
        raise PortInUseError(
            f"{host}:{port} cannot be listened on ({error.strerror}): see --host and {FLAGS[name]}."
        ) from None
    os.set_inheritable(bound.fileno(), False)
    return bound


def _in_use(name: str, port: int) -> PortInUseError:
    flag = FLAGS[name]
    return PortInUseError(f"Port {port} is in use: give another {flag}, or {flag} 0 for a free one.")
