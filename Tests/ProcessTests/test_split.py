"""A shard that an operator has replaced by two, while clients use the cluster and nodes go."""

import threading
import time
from collections.abc import Callable

import pytest

from clients import Clients
from cluster import Coordinator, Lab
from harness import facectl, unit_vectors

COLLECTION = "divided"
FACES = 1_600


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab(Lab, copies=3, ledgers=3)
    made = lab.coordinators[0].call("FacetService.CreateCollection", {"CollectionId": COLLECTION, "Shards": 1})
    assert made.status == 200
    vectors = unit_vectors(FACES, seed=1)
    for start in range(0, FACES, 400):
        names = [f"f{number}" for number in range(start, start + 400)]
        lab.coordinators[0].index_vectors(COLLECTION, vectors[start : start + 400], names)
    return lab


def enrol(coordinator: Coordinator, number: int, index: int) -> str:
    [face] = coordinator.index_vectors(
        COLLECTION, unit_vectors(1, seed=1_000_000 * (number + 1) + index), [f"w{number}-{index}"]
    )
    return face


def search(coordinator: Coordinator, number: int, index: int) -> str:
    wanted = (7 * index + number) % FACES
    found = coordinator.search_vector(COLLECTION, VECTORS[wanted], limit=3, cosine=0.9).json["FaceMatches"]
    assert [match["Face"]["ExternalImageId"] for match in found] == [f"f{wanted}"]
    return found[0]["Face"]["FaceId"]


VECTORS = unit_vectors(FACES, seed=1)


def wait_whole(lab: Lab) -> None:
    lab.coordinators[0].wait_until(
        "whole", lambda: all(shard["CopiesInSync"] == 3 for shard in lab.shards(COLLECTION)), seconds=60
    )


def require_kept(lab: Lab, writers: Clients, before: set[str]) -> None:
    for coordinator in lab.coordinators:
        faces = coordinator.face_ids(COLLECTION)
        assert len(faces) == len(set(faces)), "a face is listed twice"
        lost = (before | set(writers.answered)) - set(faces)
        assert not lost, f"{len(lost)} faces are lost"


def split(lab: Lab, shard: str) -> str:
    done = facectl("shard", "split", shard, environment=lab.coordinators[1].environment)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def test_clients_see_nothing_of_a_split(lab: Lab) -> None:
    wait_whole(lab)
    before = set(lab.coordinators[0].face_ids(COLLECTION))
    [shard] = lab.shards(COLLECTION)
    with Clients(lab, enrol) as writers, Clients(lab, search) as searchers:
        writers.wait_for(10)
        said = split(lab, shard["Shard"][:8])
        writers.wait_for(10)
        searchers.wait_for(10)
    writers.require_no_error()
    searchers.require_no_error()
    halves = lab.shards(COLLECTION)
    assert len(halves) == 2 and shard["Shard"] not in [half["Shard"] for half in halves], said
    wait_whole(lab)
    require_kept(lab, writers, before)
    for node in lab.nodes:
        assert not (lab.folder / node.label / "shards" / shard["Shard"]).exists()


def test_a_split_outlives_the_nodes_it_is_made_on(lab: Lab) -> None:
    """The primary is killed just when its copies divide; the coordinators go on with whichever copy decides then."""
    wait_whole(lab)
    before = set(lab.coordinators[0].face_ids(COLLECTION))
    shard = lab.shards(COLLECTION)[0]
    victim = lab.node(shard["Node"])
    environment = lab.coordinators[1].environment
    asked = threading.Thread(target=facectl, args=("shard", "split", shard["Shard"]), kwargs={"environment": environment})
    with Clients(lab, enrol) as writers:
        writers.wait_for(5)
        asked.start()
        time.sleep(0.15)
        victim.kill()
        asked.join()
        writers.wait_for(10)
        victim.start()
    lab.coordinators[0].wait_until("split", lambda: len(lab.shards(COLLECTION)) == 3, seconds=60)
    wait_whole(lab)
    require_kept(lab, writers, before)
    lab.coordinators[0].wait_until(
        "removed", lambda: not (lab.folder / victim.label / "shards" / shard["Shard"]).exists(), seconds=30
    )
