"""A TCP proxy before every process of a cluster, of which each pair of processes has two directions to make worse: cut,
slow, narrow, or closed. One address stands for a process to everybody, so the proxy finds out who calls by asking
Linux whose socket it is."""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

CHUNK = 65_536
# Bytes that a direction holds before it stops reading, as a sender's and a receiver's buffers would.
HELD_MAX = 1 << 20


@dataclass
class Way:
    """One direction of a link. What is sent while it is cut is held and comes late, as TCP would repeat it."""

    cut: bool = False
    delay: float = 0
    bytes_per_second: float = 0

    def heal(self) -> None:
        self.cut, self.delay, self.bytes_per_second = False, 0, 0


@dataclass(eq=False)
class Link:
    """Everything from one process to another: `there` carries what the caller says, `back` what it is answered.

    To be changed on the network's own thread only: `Network.change` does."""

    caller: str
    callee: str
    there: Way = field(default_factory=Way)
    back: Way = field(default_factory=Way)
    refused: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    connections: set["_Connection"] = field(default_factory=set)

    @property
    def ways(self) -> tuple[Way, Way]:
        return self.there, self.back

    def drop(self) -> None:
        for connection in list(self.connections):
            connection.end()


class Relay:
    """Where others reach one process."""

    def __init__(self, network: "Network", callee: str, target: int) -> None:
        self.network, self.callee, self.target = network, callee, target
        self.server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self.server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Its connections end with the network."""
        self.network.call(self._close)

    def _close(self) -> None:
        if self.server:
            self.server.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")
        caller = await asyncio.to_thread(owner, address[1], self.port, self.network.processes())
        link = self.network.link(caller, self.callee)
        connection = _Connection(link, reader, writer)
        link.connections.add(connection)
        try:
            if not link.refused:
                await connection.run(self.target)
        finally:
            link.connections.discard(connection)
            connection.end()


class Network:
    """All relays of a cluster, on one thread. `processes` gives the names and ids of the processes there are."""

    def __init__(self, processes: Callable[[], Mapping[str, int]]) -> None:
        self.processes = processes
        self.links: dict[tuple[str, str], Link] = {}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def relay(self, callee: str, target: int) -> Relay:
        """An address for `callee`, which listens on the port `target`."""
        relay = Relay(self, callee, target)
        asyncio.run_coroutine_threadsafe(relay.open(), self.loop).result(10)
        return relay

    def change(self, callers: set[str], callees: set[str], action: Callable[[Link], None]) -> None:
        """Does `action` to every link from one of `callers` to one of `callees`, and returns when it is done."""

        def apply() -> None:
            for caller in callers:
                for callee in callees - {caller}:
                    link = self.link(caller, callee)
                    action(link)
                    link.changed.set()

        self.call(apply)

    def heal(self) -> None:
        """Every link as it was at first; connections stand."""

        def apply() -> None:
            for link in self.links.values():
                link.refused = False
                for way in link.ways:
                    way.heal()
                link.changed.set()

        self.call(apply)

    def link(self, caller: str, callee: str) -> Link:
        """On the network's own thread. A caller that is none of the processes has the empty name."""
        return self.links.setdefault((caller, callee), Link(caller, callee))

    def call(self, action: Callable[[], Any]) -> Any:
        """On the network's own thread."""

        async def act() -> Any:
            return action()

        if self.loop.is_closed():
            return None
        return asyncio.run_coroutine_threadsafe(act(), self.loop).result(10)

    def close(self) -> None:
        if self.loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _end(self) -> None:
        for link in self.links.values():
            link.drop()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Connection:
    """One caller's connection and the one made for it."""

    def __init__(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.link, self.reader, self.writer = link, reader, writer
        self.target: asyncio.StreamWriter | None = None

    async def run(self, port: int) -> None:
        """Until both directions have ended. Behind a cut nobody answers a new connection."""
        await until(self.link, lambda: not self.link.there.cut and not self.link.back.cut)
        try:
            reader, self.target = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return
        there = _Pump(self.link, self.link.there, self.reader, self.target)
        back = _Pump(self.link, self.link.back, reader, self.writer)
        await asyncio.gather(there.run(), back.run())

    def end(self) -> None:
        for writer in (self.writer, self.target):
            if writer:
                writer.transport.abort()


class _Pump:
    """Carries one direction of one connection. Reading goes on while what was read is held."""

    def __init__(
        self, link: Link, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.link, self.way, self.reader, self.writer = link, way, reader, writer
        # What was read and when; an empty part is the end.
        self.held: deque[tuple[float, bytes]] = deque()
        self.held_bytes = 0
        self.news = asyncio.Event()

    async def run(self) -> None:
        reading = asyncio.create_task(self._read())
        try:
            await self._write()
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    async def _read(self) -> None:
        clock = asyncio.get_running_loop().time
        part = b"-"
        while part:
            try:
                part = await self.reader.read(CHUNK)
            except OSError:
                part = b""
            self.held.append((clock(), part))
            self.held_bytes += len(part)
            self.news.set()
            while self.held_bytes > HELD_MAX:
                await asyncio.sleep(0.01)

    async def _write(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            while not self.held:
                self.news.clear()
                await self.news.wait()
            read_at, part = self.held[0]
            await until(self.link, lambda: not self.way.cut)
            if (rest := read_at + self.way.delay - clock()) > 0:
                await asyncio.sleep(rest)
            if self.way.bytes_per_second:
                await asyncio.sleep(len(part) / self.way.bytes_per_second)
            if self.way.cut:
                continue
            self.held.popleft()
            self.held_bytes -= len(part)
            try:
                if not part:
                    self.writer.write_eof()
                    return
                self.writer.write(part)
                await self.writer.drain()
            except OSError:
                # The other side is gone, which the reading of the other direction tells the caller.
                return


async def until(link: Link, condition: Callable[[], bool]) -> None:
    while not condition():
        link.changed.clear()
        await link.changed.wait()


def owner(port: int, remote: int, processes: Mapping[str, int]) -> str:
    """Which of `processes` has the loopback connection from `port` to `remote`; empty for none of them."""
    socket = next(sockets(port, remote), None)
    if socket is None:
        return ""
    for name, process in processes.items():
        with suppress(OSError):
            for entry in os.scandir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    if os.readlink(entry.path) == f"socket:[{socket}]":
                        return name
    return ""


def sockets(port: int, remote: int) -> Iterator[str]:
    """Numbers of the sockets that Linux lists for such a connection."""
    wanted = f" 0100007F:{port:04X} 0100007F:{remote:04X} "
    with Path("/proc/net/tcp").open() as lines:
        for line in lines:
            if wanted in line:
                yield line.split()[9]
