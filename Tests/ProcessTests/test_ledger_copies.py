"""The ledger with three copies: any one node may go, no search that was answered is missing, and every copy verifies."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from clients import Clients
from cluster import Coordinator, Lab, Node
from harness import facectl, unit_vectors

COLLECTION = "leads"
OPERATORS = "000000000000"


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
    require_recorded(lab, searchers)


def require_recorded(lab: Lab, searchers: Clients) -> None:
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


def keepers(lab: Lab) -> set[str]:
    return {copy["Node"] for copy in ledger(lab)["Copies"]}


def move(lab: Lab, old: Node, new: Node, *arguments: str, environment: dict[str, str]) -> str:
    shard = next(entry for entry in shards(lab, environment) if entry["CollectionId"] == "(ledger)")["Shard"]
    done = facectl(
        "shard", "move", shard, "--from", old.label, "--to", new.label, *arguments, environment=environment
    )
    return done.stdout + done.stderr


def shards(lab: Lab, environment: dict[str, str]) -> list[dict[str, Any]]:
    listed = facectl("shard", "list", "--json", environment=environment)
    assert listed.returncode == 0, listed.stdout + listed.stderr
    found: list[dict[str, Any]] = json.loads(listed.stdout)
    return found


def test_a_copy_is_moved_to_a_node_that_has_the_key(lab: Lab) -> None:
    wait_whole(lab)
    own = lab.coordinators[1].environment
    operators = own | lab.make_key(OPERATORS).environment
    free = next(node for node in lab.nodes if node.label not in keepers(lab))
    with Clients(lab, search) as searchers:
        searchers.wait_for(10)
        old = decides(lab)
        assert "of the operators' account" in move(lab, old, free, environment=own)
        # The node learns from the registers that it is to have a copy, a moment later than whoever wrote them.
        def is_asked_for_its_key() -> bool:
            assert "the same command goes on with it" in move(lab, old, free, "--timeout", "3", environment=operators)
            return "its key file" in free.log

        lab.coordinators[0].wait_until("asked for its key", is_asked_for_its_key, seconds=30)
        for file in ("key", "ledger-key"):
            shutil.copy(lab.folder / old.label / file, lab.folder / free.label / file)
        said = move(lab, old, free, "--timeout", "60", environment=operators)
        assert f"the copy on {free.label} counts" in said, said
        searchers.wait_for(10)
    require_recorded(lab, searchers)
    wait_whole(lab)
    assert keepers(lab) == {node.label for node in lab.nodes} - {old.label}
    # Both know it from the registers when they start again.
    for node in (old, free):
        node.stop()
        node.launch()
    for node in (old, free):
        node.wait_ready()
    wait_whole(lab)


def test_a_copy_whose_node_is_lost_is_made_on_another(lab: Lab) -> None:
    """The node that kept one before has files of it: they are put aside, not taken for the new copy's."""
    wait_whole(lab)
    operators = lab.coordinators[1].environment | lab.make_key(OPERATORS).environment
    free = next(node for node in lab.nodes if node.label not in keepers(lab))
    gone = next(node for node in lab.nodes if node.label in keepers(lab) and node is not decides(lab))
    with Clients(lab, search) as searchers:
        searchers.wait_for(10)
        gone.kill()
        shutil.rmtree(lab.folder / gone.label)
        said = move(lab, gone, free, "--timeout", "60", environment=operators)
        assert f"the copy on {free.label} counts" in said, said
        searchers.wait_for(10)
    require_recorded(lab, searchers)
    wait_whole(lab)
    size = ledger(lab)["TreeSize"]
    for node in lab.nodes:
        if node is gone:
            continue
        node.stop()
        report = facectl("ledger", "verify", "--data", str(lab.folder / node.label), "--json")
        assert report.returncode == 0, report.stdout + report.stderr
        assert json.loads(report.stdout)["Leaves"] == size
    assert list((lab.folder / free.label).glob("ledger-????????-*"))
