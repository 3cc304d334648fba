"""What goes wrong between processes, made to happen: a proxy that swallows, cuts or alters, a node that is none, and a
caller that is none. docs/formats/frames.md has the frames."""

import os
import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import Self

HELLO, REQUEST, RESPONSE, ERROR = 1, 2, 3, 4
SEARCH, NODE_STATISTICS = 5, 10
# Hello{version_min: 1, version_max: 1, release: "test"}
HELLO_BODY = b"\x08\x01\x10\x01\x1a\x04test"
FOUR_GIBIBYTES = 0xFFFF_FFFF


def frame(kind: int, body: bytes, method: int = 0, number: int = 0) -> bytes:
    return struct.pack("<IBBHQ", 12 + len(body), 1, kind, method, number) + body


def read_exactly(stream: socket.socket, count: int) -> bytes:
    """Raises ConnectionError when the stream ends before."""
    found = b""
    while len(found) < count:
        part = stream.recv(count - len(found))
        if not part:
            raise ConnectionError("the stream ended")
        found += part
    return found


def read_frame(stream: socket.socket) -> tuple[int, int, int, bytes]:
    """Kind, method, number, body."""
    length, _, kind, method, number = struct.unpack("<IBBHQ", read_exactly(stream, 16))
    return kind, method, number, read_exactly(stream, length - 12)


def connect(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Under TLS 1.3 a server refuses a client's certificate after the client thinks it is in: read to know."""
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="127.0.0.1")


def greet(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection on which both ends have said hello."""
    stream = connect(port, context)
    try:
        stream.sendall(frame(HELLO, HELLO_BODY))
        kind, _, _, _ = read_frame(stream)
    except BaseException:
        stream.close()
        raise
    assert kind == HELLO, f"a frame of kind {kind} where a hello is due"
    return stream


def hung_up(stream: socket.socket, seconds: float = 20) -> bool:
    """Whether the other end closes; what it still says is dropped."""
    stream.settimeout(seconds)
    try:
        while stream.recv(65_536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


class Mode(Enum):
    PASS = auto()
    # Connections stand and take what is sent; nothing comes through in either direction.
    SWALLOW = auto()
    # What the node says is altered on the way.
    ALTER = auto()
    # The connection is cut as soon as the node answers.
    CUT = auto()


class Listener:
    """Accepts on a port of its own and gives each connection to a thread of its own."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.open: set[socket.socket] = set()
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with suppress(OSError):  # It may be closed already, by a test that made the node's address refuse.
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.drop()

    def drop(self) -> None:
        """Ends every connection there is."""
        with self.lock:
            streams, self.open = self.open, set()
        for stream in streams:
            end(stream)

    def serve(self, stream: socket.socket) -> None:
        raise NotImplementedError

    def keep(self, stream: socket.socket) -> None:
        with self.lock:
            self.open.add(stream)

    def forget(self, stream: socket.socket) -> None:
        with self.lock:
            self.open.discard(stream)
        end(stream)

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            self.keep(stream)
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        try:
            self.serve(stream)
        except OSError:
            pass
        finally:
            self.forget(stream)


def end(stream: socket.socket) -> None:
    try:
        stream.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    stream.close()


class Proxy(Listener):
    """Between coordinators and one node. `target` may be another port: a node that only pretends to be this one."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.mode = Mode.PASS
        self.random = random.Random(7)
        super().__init__()

    def become(self, mode: Mode) -> None:
        """For connections that stand and those to come."""
        self.mode = mode

    def lead_to(self, target: int) -> None:
        self.target = target
        self.drop()

    def heal(self, target: int) -> None:
        self.mode = Mode.PASS
        self.lead_to(target)

    def serve(self, stream: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.target), timeout=10) as node:
            node.settimeout(None)
            self.keep(node)
            back = threading.Thread(target=self._pump, args=(node, stream, True), daemon=True)
            back.start()
            self._pump(stream, node, False)
            back.join()
            self.forget(node)

    def _pump(self, source: socket.socket, target: socket.socket, from_node: bool) -> None:
        try:
            while part := source.recv(65_536):
                match self.mode:
                    case Mode.SWALLOW:
                        continue
                    case Mode.ALTER if from_node:
                        part = self.random.randbytes(len(part))
                    case Mode.CUT if from_node:
                        # Less than any record of TLS: a part may hold several answers, and none may be whole.
                        target.sendall(part[:16])
                        break
                target.sendall(part)
        except OSError:
            pass
        finally:
            end(source)
            end(target)


class FakeNode(Listener):
    """Speaks TLS with the certificate it is given, says hello, and then does as `behave` says with each connection."""

    def __init__(self, context: ssl.SSLContext, behave: Callable[[ssl.SSLSocket], None]) -> None:
        self.context = context
        self.behave = behave
        self.callers = 0
        super().__init__()

    def serve(self, stream: socket.socket) -> None:
        with self.context.wrap_socket(stream, server_side=True) as secured:
            self.keep(secured)
            try:
                read_frame(secured)
                self.callers += 1
                secured.sendall(frame(HELLO, HELLO_BODY))
                self.behave(secured)
            finally:
                self.forget(secured)


def answer_garbage(stream: ssl.SSLSocket) -> None:
    """Well-formed frames whose bodies are random bytes."""
    generator = random.Random(11)
    while True:
        kind, _, number, _ = read_frame(stream)
        if kind == REQUEST:
            stream.sendall(frame(RESPONSE, generator.randbytes(generator.randrange(1, 4096)), number=number))


def answer_truncated(stream: ssl.SSLSocket) -> None:
    """Half of a frame, and then the end of the stream."""
    while True:
        kind, _, number, _ = read_frame(stream)
        if kind == REQUEST:
            stream.sendall(frame(RESPONSE, bytes(4096), number=number)[:2048])
            return


def answer_random_bytes(stream: ssl.SSLSocket) -> None:
    while True:
        kind, _, _, _ = read_frame(stream)
        if kind == REQUEST:
            stream.sendall(os.urandom(65_536))
            hung_up(stream)
            return


def answer_enormous(stream: ssl.SSLSocket) -> None:
    """A frame that announces 4 GiB, and begins to send them."""
    while True:
        kind, _, number, _ = read_frame(stream)
        if kind == REQUEST:
            stream.sendall(struct.pack("<IBBHQ", FOUR_GIBIBYTES, 1, RESPONSE, 0, number) + bytes(1 << 20))
            hung_up(stream)
            return


def answer_nothing(stream: ssl.SSLSocket) -> None:
    hung_up(stream)
