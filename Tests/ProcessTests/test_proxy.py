"""The tests' own proxy does to a link what it is told, in one direction, between these two processes and no others."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from proxy import Link, Network
from wire import Listener, read_exactly


class Echo(Listener):
    """Answers each byte with itself, and remembers what it heard."""

    def __init__(self) -> None:
        self.heard = b""
        self.news = threading.Condition()
        super().__init__()

    def serve(self, stream: socket.socket) -> None:
        while part := stream.recv(65_536):
            with self.news:
                self.heard += part
                self.news.notify_all()
            stream.sendall(part)

    def wait_heard(self, wanted: bytes) -> None:
        with self.news:
            assert self.news.wait_for(lambda: wanted in self.heard, timeout=20), f"heard {self.heard[-100:]!r}"


@dataclass
class Bench:
    """This process calls `far` and `near`, two echoes, through relays; only what leads to `far` is made worse."""

    network: Network
    far: Echo
    near: Echo
    ports: dict[str, int]

    def connect(self, callee: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[callee]), timeout=20)

    def ask(self, stream: socket.socket, text: bytes) -> bytes:
        stream.sendall(text)
        return read_exactly(stream, len(text))

    def change(self, **state: object) -> None:
        def act(link: Link) -> None:
            for name, value in state.items():
                way, _, attribute = name.partition("_")
                setattr(getattr(link, way), attribute, value)

        self.network.change({"me"}, {"far"}, act)

    def go_on_elsewhere(self) -> None:
        """Long enough, by what the other link carries meanwhile, for anything not held to have come through."""
        with self.connect("near") as stream:
            for _ in range(50):
                assert self.ask(stream, b"near") == b"near"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Network(lambda: {"me": os.getpid()}) as network, Echo() as far, Echo() as near:
        ports = {name: network.relay(name, echo.port).port for name, echo in (("far", far), ("near", near))}
        yield Bench(network, far, near, ports)


def arrived(stream: socket.socket) -> bytes:
    stream.setblocking(False)
    try:
        return stream.recv(65_536)
    except BlockingIOError:
        return b""
    finally:
        stream.settimeout(20)


def test_bytes_pass_whole(bench: Bench) -> None:
    text = os.urandom(3_000_000)
    with bench.connect("far") as stream:
        sender = threading.Thread(target=stream.sendall, args=(text,))
        sender.start()
        assert read_exactly(stream, len(text)) == text
        sender.join()


def test_what_is_sent_into_a_cut_comes_when_it_is_healed(bench: Bench) -> None:
    with bench.connect("far") as stream:
        assert bench.ask(stream, b"one") == b"one"
        bench.change(there_cut=True)
        stream.sendall(b"two")
        bench.go_on_elsewhere()
        assert b"two" not in bench.far.heard
        bench.network.heal()
        assert read_exactly(stream, 3) == b"two"


def test_a_cut_has_a_direction(bench: Bench) -> None:
    with bench.connect("far") as stream:
        assert bench.ask(stream, b"one") == b"one"
        bench.change(back_cut=True)
        stream.sendall(b"two")
        bench.far.wait_heard(b"onetwo")
        bench.go_on_elsewhere()
        assert arrived(stream) == b""
        bench.network.heal()
        assert read_exactly(stream, 3) == b"two"


def test_an_end_does_not_pass_a_cut(bench: Bench) -> None:
    with bench.connect("far") as stream:
        assert bench.ask(stream, b"one") == b"one"
        bench.change(back_cut=True)
        bench.far.drop()
        bench.go_on_elsewhere()
        stream.setblocking(False)
        with pytest.raises(BlockingIOError):
            stream.recv(1)
        stream.settimeout(20)
        bench.network.heal()
        assert stream.recv(1) == b""


def test_a_new_connection_waits_for_the_cut_to_heal(bench: Bench) -> None:
    bench.change(there_cut=True, back_cut=True)
    with bench.connect("far") as stream:
        stream.sendall(b"one")
        bench.go_on_elsewhere()
        assert bench.far.heard == b""
        bench.network.heal()
        assert read_exactly(stream, 3) == b"one"


def test_dropped_and_refused(bench: Bench) -> None:
    with bench.connect("far") as stream:
        assert bench.ask(stream, b"one") == b"one"
        bench.network.change({"me"}, {"far"}, Link.drop)
        assert ended(stream)
    bench.network.change({"me"}, {"far"}, lambda link: setattr(link, "refused", True))
    with bench.connect("far") as stream:
        assert ended(stream)
    bench.network.heal()
    with bench.connect("far") as stream:
        assert bench.ask(stream, b"one") == b"one"


def ended(stream: socket.socket) -> bool:
    try:
        return stream.recv(1) == b""
    except ConnectionError:
        return True


def test_delay_and_rate_hold_at_least(bench: Bench) -> None:
    with bench.connect("far") as stream:
        assert bench.ask(stream, b"one") == b"one"
        bench.change(there_delay=0.2, back_delay=0.1)
        began = time.monotonic()
        assert bench.ask(stream, b"two") == b"two"
        assert time.monotonic() - began > 0.29
        bench.network.heal()
        bench.change(there_bytes_per_second=100_000)
        began = time.monotonic()
        assert len(bench.ask(stream, bytes(40_000))) == 40_000
        assert time.monotonic() - began > 0.39


def test_another_process_is_another_caller(bench: Bench) -> None:
    """What is cut from this process is whole for a process that nobody named."""
    bench.change(there_cut=True, back_cut=True)
    code = (
        "import socket, sys\n"
        "stream = socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=20)\n"
        "stream.sendall(b'hello')\n"
        "print(stream.recv(5))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bench.ports["far"])], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "b'hello'\n", done.stderr
