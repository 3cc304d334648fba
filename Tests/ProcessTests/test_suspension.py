"""Suspending an account: no coordinator answers it any more within two seconds, whatever is cut off or down."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from chaos_faults import WiredLab
from cluster import Coordinator, Lab, Node
from harness import Key, facectl, unit_vectors

COLLECTION = "leads"
ACCOUNT = "000000000001"
OPERATORS = "000000000000"
# The promise is 2; the rest is for a machine that is busy otherwise.
WITHIN = 5.0
OPERATIONS: dict[str, Callable[[Coordinator], Any]] = {
    "search": lambda asked: asked.search_vector(COLLECTION, unit_vectors(1, seed=1)[0], limit=1),
    "enrol": lambda asked: asked.index_vectors(COLLECTION, unit_vectors(2, seed=1), ["f0", "f1"]),
    "list": lambda asked: asked.face_ids(COLLECTION),
    "describe": lambda asked: asked.call("RekognitionService.DescribeCollection", {"CollectionId": COLLECTION}),
}


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> WiredLab:
    lab = make_lab(WiredLab, nodes=3, copies=3, ledgers=3)
    assert isinstance(lab, WiredLab)
    enrol(lab)
    return lab


def enrol(lab: Lab) -> None:
    lab.coordinators[0].client().create_collection(CollectionId=COLLECTION)
    lab.coordinators[0].index_vectors(COLLECTION, unit_vectors(2, seed=1), ["f0", "f1"])


@pytest.fixture(scope="module")
def operators(lab: WiredLab) -> Key:
    return lab.make_key(OPERATORS)


def order(lab: Lab, operators: Key, what: str) -> None:
    """By facectl, at the first coordinator."""
    environment = lab.coordinators[0].environment | operators.environment
    done = facectl("tenant", what, ACCOUNT, "--reason", "a test's", environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def decides(lab: Lab) -> Node:
    copies = lab.coordinators[0].call("FacetService.GetStatus", {}).json["Ledger"]["Copies"]
    return lab.node(next(copy["Node"] for copy in copies if copy["Role"] == "primary"))


def wait_whole(lab: Lab) -> None:
    def whole() -> bool:
        return lab.coordinators[0].call("FacetService.GetStatus", {}).json["Ledger"]["CopiesInSync"] == 3

    lab.coordinators[0].wait_until("whole", whole, seconds=60)


class Load:
    """Everybody asks everything all the time; keeps when the last answer of each came, and what else was said."""

    def __init__(self, lab: Lab) -> None:
        self.ending = threading.Event()
        self.answered: dict[str, list[float]] = {}
        self.refused: dict[str, list[float]] = {}
        self.others: list[str] = []
        self.threads = []
        for coordinator in lab.coordinators:
            for name, ask in OPERATIONS.items():
                label = f"{coordinator.label} {name}"
                self.answered[label], self.refused[label] = [], []
                self.threads.append(threading.Thread(target=self._loop, args=(label, coordinator, ask)))

    def _loop(self, label: str, coordinator: Coordinator, ask: Callable[[Coordinator], Any]) -> None:
        while not self.ending.is_set():
            try:
                ask(coordinator)
                self.answered[label].append(time.monotonic())
            except Exception as failure:  # noqa: BLE001 - whatever it is, it is looked at by its text
                text = str(failure)
                if "AccessDenied" in text and "is suspended since" in text:
                    self.refused[label].append(time.monotonic())
                else:
                    self.others.append(f"{label}: {text}")
            self.ending.wait(0.02)

    def wait_for(self, what: dict[str, list[float]]) -> None:
        """Until every asker has heard that once more."""
        before, limit = {label: len(times) for label, times in what.items()}, time.monotonic() + 60
        while silent := [label for label, count in before.items() if len(what[label]) <= count]:
            assert time.monotonic() < limit, f"{silent} never; {self.others[-5:]}"
            time.sleep(0.02)


@contextmanager
def load(lab: Lab) -> Iterator[Load]:
    running = Load(lab)
    for thread in running.threads:
        thread.start()
    try:
        yield running
    finally:
        running.ending.set()
        for thread in running.threads:
            thread.join()


@contextmanager
def cut_from_etcd(lab: WiredLab, coordinator: Coordinator) -> Iterator[None]:
    def cut(link: Any) -> None:
        link.refused = True
        link.drop()

    lab.network.change({coordinator.label}, {member.label for member in lab.etcd}, cut)
    try:
        yield
    finally:
        lab.network.heal()


def check(lab: WiredLab, operators: Key, meanwhile: Callable[[], None] = lambda: None, alone: bool = False) -> None:
    """Suspends under load, does something, resumes. `alone`: others than refusals may be said meanwhile."""
    with load(lab) as running:
        running.wait_for(running.answered)
        began = time.monotonic()
        order(lab, operators, "suspend")
        acknowledged = time.monotonic()
        running.wait_for(running.refused)
        meanwhile()
        # Time in which an answer that should not come could.
        time.sleep(2)
        last = max(times[-1] for times in running.answered.values())
        order(lab, operators, "resume")
        resumed = time.monotonic()
        lab.network.heal()
        running.wait_for(running.answered)
        again = time.monotonic()
    print(
        f"\nacknowledged after {acknowledged - began:.2f} s, the last answer {last - acknowledged:+.2f} s from then; "
        f"all answer again {again - resumed:.2f} s after the end of it"
    )
    assert last - acknowledged < WITHIN
    if not alone:
        assert running.others == []


def test_everybody_obeys(lab: WiredLab, operators: Key) -> None:
    check(lab, operators)


def test_a_coordinator_without_etcd_obeys(lab: WiredLab, operators: Key) -> None:
    with cut_from_etcd(lab, lab.coordinators[1]):
        lab.coordinators[1].wait_until(
            "stale", lambda: lab.coordinators[1].metrics()["facet_control_plane_stale"] == 1, seconds=30
        )
        check(lab, operators)


def test_a_killed_primary_changes_nothing(lab: WiredLab, operators: Key) -> None:
    def kill() -> None:
        gone = decides(lab)
        gone.kill()
        lab.coordinators[0].wait_until("taken over", lambda: decides(lab) is not gone, seconds=60)
        gone.start()
        wait_whole(lab)

    with cut_from_etcd(lab, lab.coordinators[1]):
        check(lab, operators, kill, alone=True)
    lab.wait_complete()


def test_a_key_that_is_revoked_is_refused_without_etcd(lab: WiredLab) -> None:
    """The coordinator that is cut off knows the key, and hears of its end from the ledger alone."""
    key = lab.make_key(ACCOUNT)
    asked = lab.coordinators[1]

    def error() -> str:
        answer = asked.post("RekognitionService.ListCollections", {}, key=key)
        return "" if answer.status == 200 else answer.error

    asked.wait_until("known", lambda: error() == "", seconds=10)
    with cut_from_etcd(lab, asked):
        revoked = facectl("keys", "revoke", key.access_key_id, "--config", str(lab.config))
        assert revoked.returncode == 0, revoked.stdout + revoked.stderr
        began = time.monotonic()
        asked.wait_until("refused", lambda: error() == "UnrecognizedClientException", seconds=WITHIN)
        print(f"\nrefused {time.monotonic() - began:.2f} s after it was revoked")
        assert asked.post("RekognitionService.ListCollections", {}).status == 200, "other keys go on"
    lab.wait_complete()


def test_every_process_started_anew_obeys(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(nodes=3, copies=3, ledgers=3)
    enrol(lab)
    operators = lab.make_key(OPERATORS)
    order(lab, operators, "suspend")
    for process in (*lab.nodes, *lab.coordinators):
        process.kill()
    for process in (*lab.nodes, *lab.coordinators):
        process.launch()
    lab.wait_complete()
    for coordinator in lab.coordinators:
        for name, ask in OPERATIONS.items():
            with pytest.raises(Exception, match="is suspended since"):
                ask(coordinator)
                pytest.fail(f"{coordinator.label} answers {name}")
        status = coordinator.call("FacetService.GetStatus", {}).json
        assert [account["Tenant"] for account in status["Standing"]["Suspended"]] == [ACCOUNT]
        assert coordinator.metrics()["facet_suspended_accounts"] == 1
    own = facectl("tenant", "resume", ACCOUNT, "--reason", "mine", environment=lab.coordinators[0].environment)
    assert own.returncode == 1 and "AccessDenied" in own.stderr, "only operators resume"
    order(lab, operators, "resume")
    for coordinator in lab.coordinators:
        coordinator.wait_until("answers", lambda asked=coordinator: answers(asked), seconds=10)


def answers(coordinator: Coordinator) -> bool:
    with suppress(Exception):
        return bool(OPERATIONS["list"](coordinator))
    return False
