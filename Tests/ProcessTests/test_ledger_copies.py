"""The ledger with three copies: any one node may go, no search that was answered is missing, and every copy verifies."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from clients import Clients
from cluster import Coordinator, Lab, Node
from harness import facectl, unit_vectors

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


def search(coordinator: Coordinator, _: int, index: int) -> str:
    answer = coordinator.search_vector(COLLECTION, unit_vectors(20, seed=1)[index % 20], limit=1, cosine=0.9)
    return answer.headers["x-facet-search-id"]


def test_killed_primaries_lose_no_search(lab: Lab) -> None:
    wait_whole(lab)
    with Clients(lab, search) as searchers:
        for _ in range(3):
            searchers.wait_for(20)
            gone = decides(lab)
            gone.kill()
            searchers.wait_for(20)
            lab.coordinators[0].wait_until("taken over", lambda gone=gone: decides(lab) is not gone, seconds=60)
            gone.start()
            wait_whole(lab)
        searchers.wait_for(20)
    searchers.require_no_error()
    assert len(set(searchers.answered)) == len(searchers.answered)
    for answered in searchers.answered:
        record = lab.coordinators[0].search_record(answered)
        assert record.status == 200, f"search {answered} was answered and is not on record: {record.json}"


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
