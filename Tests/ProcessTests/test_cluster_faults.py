"""Every row of the table of faults, made to happen to a cluster that is used meanwhile. What a client must never see is
the same in each: an answer after the deadline, an empty list, or a whole answer that is not whole."""

import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wire
from cluster import Certificates, Coordinator, Identity, Lab, Member, Node, total
from faults import FAULTS, NOBODY, NOTHING, PAGE, PARTIAL, WHOLE, Fault, page
from harness import Response, encode, unit_vectors

COLLECTION = "faults"
FACES = 200
DEADLINE = 3
# What an answer may be late by when this machine is busy; a hang would be longer by far.
GRACE = 10
ALLOW = {"x-facet-partial": "allow"}


class Bench:
    """The cluster, what is enrolled in it, and the answer that is whole."""

    def __init__(self, lab: Lab, strangers: Certificates) -> None:
        self.lab = lab
        self.strangers = strangers
        self.coordinator = lab.coordinators[0]
        self.node = lab.node("node-2")
        self.vectors = unit_vectors(FACES, seed=31)
        [self.probe, self.nobody] = unit_vectors(2, seed=32)
        self.coordinator.call("FacetService.CreateCollection", {"CollectionId": COLLECTION, "Shards": 4})
        self.coordinator.index_vectors(COLLECTION, self.vectors, [f"f{index}" for index in range(FACES)])
        self.whole = matches(self.search())
        assert len(self.whole) == FACES
        shards = lab.shards(COLLECTION)
        assert sorted(shard["Node"] for shard in shards) == [node.label for node in lab.nodes]
        [self.missing] = [shard for shard in shards if shard["Node"] == self.node.label]

    def search(
        self, probe: np.ndarray | None = None, cosine: float = -1, headers: dict[str, str] | None = None,
        coordinator: Coordinator | None = None,
    ) -> Response:
        vector = encode(self.probe if probe is None else probe)
        body = {"CollectionId": COLLECTION, "Vector": vector, "MaxFaces": FACES, "CosineThreshold": cosine}
        started = time.monotonic()
        answer = (coordinator or self.coordinator).post("FacetService.SearchByVector", body, headers=headers)
        assert time.monotonic() - started < DEADLINE + GRACE, f"answered too late: {answer.body[:500]!r}"
        return answer

    def process(self, name: str) -> Member:
        return next(process for process in self.lab.processes if process.label == name)


def matches(answer: Response) -> list[tuple[str, float]]:
    assert answer.status == 200, answer.body
    return [(match["Face"]["ExternalImageId"], match["Cosine"]) for match in answer.json["FaceMatches"]]


@pytest.fixture(scope="module")
def bench(make_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> Bench:
    lab = make_lab(members=3, deadline=DEADLINE, proxied=["node-2"])
    return Bench(lab, Certificates.make(tmp_path_factory.mktemp("strangers") / "certs"))


# How each fault is made; leaving the context mends it.


@contextmanager
def killed(member: Member) -> Iterator[None]:
    member.kill()
    try:
        yield
    finally:
        member.start()


@contextmanager
def stopped(node: Node) -> Iterator[None]:
    node.pause()
    try:
        yield
    finally:
        node.resume()


@contextmanager
def proxied(node: Node, mode: wire.Mode) -> Iterator[None]:
    assert node.proxy
    node.proxy.become(mode)
    try:
        yield
    finally:
        node.proxy.heal(node.port)


@contextmanager
def replaced(
    node: Node, identity: Identity, behave: Callable[[Any], None] = wire.answer_nothing, ask: bool = True
) -> Iterator[None]:
    """A node that only pretends to be `node` stands at its address. Without `ask` it takes callers of any authority."""
    assert node.proxy
    context = identity.server()
    if not ask:
        context.verify_mode = wire.ssl.CERT_NONE
    with wire.FakeNode(context, behave) as fake:
        node.proxy.lead_to(fake.port)
        try:
            yield
        finally:
            node.proxy.heal(node.port)


@contextmanager
def called(bench: Bench, call: Callable[[Bench], None]) -> Iterator[None]:
    call(bench)
    yield


@contextmanager
def all_killed(members: list[Any]) -> Iterator[None]:
    for member in members:
        member.kill()
    try:
        yield
    finally:
        for member in members:
            member.launch()
        for member in members:
            member.wait_ready()


def call_as_stranger(bench: Bench) -> None:
    with pytest.raises((OSError, AssertionError)):
        wire.greet(bench.node.port, foreign(bench).client())


def call_with_another_role(bench: Bench) -> None:
    with pytest.raises((OSError, AssertionError)):
        wire.greet(bench.node.port, bench.lab.certificates.identity(bench.lab.etcd[0].label).client())


def ask_for_a_search(bench: Bench, name: str) -> None:
    """In vain."""
    with wire.greet(bench.node.port, bench.lab.certificates.identity(name).client()) as stream:
        stream.sendall(wire.frame(wire.REQUEST, b"", wire.SEARCH, 1))
        kind, _, number, _ = wire.read_frame(stream)
        assert (kind, number) == (wire.ERROR, 1)


def call_with_four_gibibytes(bench: Bench) -> None:
    before = resident_bytes(bench.node)
    with wire.greet(bench.node.port, coordinator_identity(bench).client()) as stream:
        header = wire.struct.pack("<IBBHQ", wire.FOUR_GIBIBYTES, 1, wire.REQUEST, wire.SEARCH, 1)
        try:
            stream.sendall(header + bytes(1 << 20))
        except OSError:
            pass
        assert wire.hung_up(stream)
    assert resident_bytes(bench.node) < before + (64 << 20), "memory was taken for what was only announced"


def call_with_random_bytes(bench: Bench) -> None:
    for attempt in range(20):
        with wire.greet(bench.node.port, coordinator_identity(bench).client()) as stream:
            try:
                stream.sendall(os.urandom(4096) if attempt % 2 else wire.frame(wire.REQUEST, bytes(999), 5, 1)[:500])
                stream.shutdown(wire.socket.SHUT_WR)
            except OSError:
                pass
            assert wire.hung_up(stream)


def resident_bytes(node: Node) -> int:
    assert node.process
    pages = int(Path(f"/proc/{node.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def coordinator_identity(bench: Bench) -> Identity:
    return bench.lab.certificates.identity("coordinator-2")


def foreign(bench: Bench) -> Identity:
    """Says it is node-2 of this very cluster, on another authority's word."""
    if not Path(bench.strangers.identity("node-2").certificate).exists():
        bench.strangers.issue("shard-node", "node-2")
        bench.strangers.issue("coordinator", "coordinator-2")
    return bench.strangers.identity("node-2")


def own(bench: Bench, name: str = "node-2") -> Identity:
    return bench.lab.certificates.identity(name)


MAKE: dict[str, Callable[[Bench], AbstractContextManager[None]]] = {
    "node killed": lambda bench: killed(bench.node),
    "node stopped": lambda bench: stopped(bench.node),
    "half-open": lambda bench: proxied(bench.node, wire.Mode.SWALLOW),
    "cut": lambda bench: proxied(bench.node, wire.Mode.CUT),
    "altered": lambda bench: proxied(bench.node, wire.Mode.ALTER),
    "truncated frames": lambda bench: replaced(bench.node, own(bench), wire.answer_truncated),
    "random frames": lambda bench: replaced(bench.node, own(bench), wire.answer_random_bytes),
    "4 GiB frame from a node": lambda bench: replaced(bench.node, own(bench), wire.answer_enormous),
    "garbage bodies": lambda bench: replaced(bench.node, own(bench), wire.answer_garbage),
    "node of another authority": lambda bench: replaced(bench.node, foreign(bench), ask=False),
    "node with another role": lambda bench: replaced(bench.node, own(bench, "coordinator-2")),
    "another node": lambda bench: replaced(bench.node, own(bench, "node-3")),
    "caller of another authority": lambda bench: called(bench, call_as_stranger),
    "caller with another role": lambda bench: called(bench, call_with_another_role),
    "operator asks too much": lambda bench: called(bench, lambda bench: ask_for_a_search(bench, "operator")),
    "node asks too much": lambda bench: called(bench, lambda bench: ask_for_a_search(bench, "node-3")),
    "4 GiB frame to a node": lambda bench: called(bench, call_with_four_gibibytes),
    "random bytes to a node": lambda bench: called(bench, call_with_random_bytes),
    "ledger node killed": lambda bench: killed(bench.lab.node("node-1")),
    "one etcd member killed": lambda bench: killed(bench.lab.etcd[0]),
    "etcd killed": lambda bench: all_killed(bench.lab.etcd),
    "coordinator killed": lambda bench: killed(bench.coordinator),
}


class Before:
    """Logs and metrics at the start of a test, to see what it adds."""

    def __init__(self, bench: Bench, fault: Fault) -> None:
        self.bench = bench
        self.fault = fault
        self.logs = {log.of: len(bench.process(log.of).log) for log in fault.logs}
        self.sums = [self.sum(metric.of, metric.pattern) for metric in fault.metrics]

    def sum(self, process: str, pattern: str) -> float:
        return total(self.bench.process(process).metrics(), pattern)

    def missing(self) -> list[str]:
        """What the table says and the processes do not."""
        found: list[str] = []
        for log in self.fault.logs:
            lines = self.bench.process(log.of).log[self.logs[log.of] :].splitlines()
            if not any(all(re.search(pattern, line) for pattern in log.patterns) for line in lines):
                found.append(f"{log.of} logs nothing like {log.patterns}: {lines[-10:]}")
        for metric, before in zip(self.fault.metrics, self.sums, strict=True):
            now = self.sum(metric.of, metric.pattern)
            if not (now > before if metric.value is None else now == metric.value):
                found.append(f"{metric.of}: {metric.pattern} is {now}, was {before}, wanted {metric.value or 'more'}")
        return found

    def wait(self) -> None:
        """A line or a number may come a moment after the answer it belongs to."""
        deadline = time.monotonic() + GRACE
        while found := self.missing():
            assert time.monotonic() < deadline, "\n".join(found)
            time.sleep(0.05)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(bench: Bench, fault: Fault) -> None:
    before = Before(bench, fault)
    with MAKE[fault.name](bench):
        check_answers(bench, fault)
        before.wait()
        also(bench, fault.name)
    bench.lab.wait_complete()
    for coordinator in bench.lab.coordinators:
        assert matches(bench.search(coordinator=coordinator)) == bench.whole, "after the fault all is as before"


def check_answers(bench: Bench, fault: Fault) -> None:
    """Three searches at once: a plain one, one that may be partial, and one of which no shard has a candidate."""
    if fault.outcome == NOBODY:
        with pytest.raises(OSError):
            bench.search()
        assert matches(bench.search(coordinator=bench.lab.coordinators[1])) == bench.whole
        return
    with ThreadPoolExecutor(3) as threads:
        asked = (
            threads.submit(bench.search),
            threads.submit(bench.search, headers=ALLOW),
            threads.submit(bench.search, bench.nobody, cosine=0.99, headers=ALLOW),
        )
        plain, partial, nobody = (future.result() for future in asked)
    if fault.outcome == WHOLE:
        assert matches(plain) == bench.whole
        assert matches(partial) == bench.whole
        assert matches(nobody) == []
        return
    for answer in (plain, nobody):
        check_error(bench, fault, answer)
    if fault.outcome == PARTIAL:
        check_partial(bench, partial)
    else:
        assert fault.outcome == NOTHING
        check_error(bench, fault, partial)


def check_error(bench: Bench, fault: Fault, answer: Response) -> None:
    assert (answer.status, answer.error) == (500, fault.code), answer.body
    for pattern in fault.message:
        wanted = pattern.format(shard=bench.missing["Shard"], node=bench.node.label)
        assert re.search(wanted, answer.message), f"no {wanted!r} in {answer.message!r}"


def check_partial(bench: Bench, answer: Response) -> None:
    """Exactly what the other shards hold, said to be no more."""
    there = FACES - bench.missing["Faces"]
    assert re.search(rf"\bshards=3/4 faces={there}\b", answer.headers.get("x-facet-coverage", "")), answer.headers
    found = matches(answer)
    assert len(found) == there
    assert found == [match for match in bench.whole if match in set(found)]


def also(bench: Bench, name: str) -> None:
    """What only this fault touches."""
    client = bench.coordinator.client()
    if name == "ledger node killed":
        answer = bench.coordinator.search_record("00000000-0000-4000-8000-000000000000")
        assert (answer.status, answer.error) == (500, "InternalServerError") and "ledger" in answer.message
    elif name == "one etcd member killed":
        client.create_collection(CollectionId="without-one-member")
        client.delete_collection(CollectionId="without-one-member")
    elif name == "etcd killed":
        answer = bench.coordinator.post("RekognitionService.CreateCollection", {"CollectionId": "without-etcd"})
        assert (answer.status, answer.error) == (500, "InternalServerError") and "control plane" in answer.message
        bench.coordinator.index_vectors(COLLECTION, bench.vectors[:3], ["f0", "f1", "f2"])
    elif name == "node killed":
        assert bench.coordinator.problems()["complete"] is False
        assert bench.coordinator.problems()["live"] is True
        assert bench.coordinator.get("/livez").status == 200


def test_faults_in_turn_leave_nothing_behind(bench: Bench) -> None:
    """Threads, descriptors and connections of a coordinator after many broken connections are as many as before."""
    assert bench.coordinator.process and bench.node.proxy
    folder = Path(f"/proc/{bench.coordinator.process.pid}/fd")
    before = len(list(folder.iterdir()))
    for _ in range(30):
        bench.node.proxy.drop()
        bench.search(headers=ALLOW)
    bench.lab.wait_complete()
    assert matches(bench.search()) == bench.whole
    assert len(list(folder.iterdir())) <= before + 5


def test_every_fault_can_be_made_and_none_twice() -> None:
    assert list(MAKE) == [fault.name for fault in FAULTS]


def test_the_page_is_the_table() -> None:
    """`REWRITE=1` writes it."""
    if os.environ.get("REWRITE"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), "run Tests/ProcessTests/faults.py"
