"""The ledger with three copies: any one node may go, no search that was answered is missing, and every copy verifies."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from cluster import Lab, Node
from harness import CallFailed, facectl, unit_vectors

COLLECTION = "leads"


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab(Lab, copies=3, ledgers=3)
    lab.coordinators[0].client().create_collection(CollectionId=COLLECTION)
    lab.coordinators[0].index_vectors(COLLECTION, unit_vectors(20, seed=1), [f"f{number}" for number in range(20)])
    return lab


def ledger(lab: Lab) -> dict[str, Any]:
    for coordinator in lab.coordinators:
        answer = coordinator.call("FacetService.GetStatus", {}).json["Ledger"]
        if "Copies" in answer:
            return answer
    raise AssertionError("no coordinator knows the ledger's copies")


def decides(lab: Lab) -> Node:
    return lab.node(next(copy["Node"] for copy in ledger(lab)["Copies"] if copy["Role"] == "primary"))


def wait_whole(lab: Lab) -> None:
    lab.coordinators[0].wait_until("whole", lambda: ledger(lab)["CopiesInSync"] == 3, seconds=60)


class Searchers:
    """Clients that search and keep which searches were answered."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.answered: list[str] = []
        self.errors: list[str] = []
        self.ending = threading.Event()

    def __enter__(self) -> "Searchers":
        self.threads = [threading.Thread(target=self._loop, args=(number,)) for number in range(2)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def _loop(self, number: int) -> None:
        coordinator, vectors = self.lab.coordinators[number], unit_vectors(20, seed=1)
        for index in range(100_000):
            if self.ending.is_set():
                return
            try:
                answer = coordinator.search_vector(COLLECTION, vectors[index % 20], limit=1, cosine=0.9)
                self.answered.append(answer.headers["x-facet-search-id"])
            except (CallFailed, ClientError, BotoCoreError, OSError) as failure:
                self.errors.append(f"{type(failure).__name__}: {failure}")

    def wait_for(self, more: int) -> None:
        goal, limit = len(self.answered) + more, time.monotonic() + 60
        while len(self.answered) < goal:
            assert time.monotonic() < limit, f"no {more} searches in a minute; errors: {self.errors[-3:]}"
            time.sleep(0.05)


def test_killed_primaries_lose_no_search(lab: Lab) -> None:
    wait_whole(lab)
    with Searchers(lab) as searchers:
        for _ in range(3):
            searchers.wait_for(20)
            gone = decides(lab)
            gone.kill()
            searchers.wait_for(20)
            lab.coordinators[0].wait_until("taken over", lambda gone=gone: decides(lab) is not gone, seconds=60)
            gone.start()
            wait_whole(lab)
        searchers.wait_for(20)
    assert not searchers.errors, f"{len(searchers.errors)} errors: {searchers.errors[:3]}"
    assert len(set(searchers.answered)) == len(searchers.answered)
    for search in searchers.answered:
        record = lab.coordinators[0].search_record(search)
        assert record.status == 200, f"search {search} was answered and is not on record: {record.json}"


def test_every_copy_is_the_same_and_verifies(lab: Lab) -> None:
    wait_whole(lab)
    size = ledger(lab)["TreeSize"]
    for node in lab.nodes[:3]:
        node.stop()
    reports = []
    for node in lab.nodes[:3]:
        verified = facectl("ledger", "verify", "--data", str(lab.folder / node.label), "--json")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        reports.append(json.loads(verified.stdout))
    for report in reports:
        assert report["Whole"] and report["Leaves"] == size, reports
    for node in lab.nodes[:3]:
        node.launch()
    for node in lab.nodes[:3]:
        node.wait_ready()
    wait_whole(lab)
    assert lab.coordinators[0].search_vector(COLLECTION, unit_vectors(20, seed=1)[3], limit=1).status == 200
