"""Shards with three copies: any one node may go, and nothing acknowledged is lost."""

import os
import time
from collections.abc import Callable

import pytest

from clients import Clients
from cluster import Coordinator, Lab, Node
from harness import unit_vectors

COLLECTION = "copies"
# A copy that is not heard of is suspected after 1.5 s; a machine with other work needs some more until one has taken over.
TAKEOVER_SECONDS = 20
# `make soak` says 600.
WITHOUT_ETCD_SECONDS = float(os.environ.get("FACET_ETCD_AWAY", "8"))


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab(Lab, copies=3)
    lab.coordinators[0].client().create_collection(CollectionId=COLLECTION)
    return lab


def enrol(coordinator: Coordinator, number: int, index: int) -> str:
    [face] = coordinator.index_vectors(
        COLLECTION, unit_vectors(1, seed=1_000_000 * (number + 1) + index), [f"w{number}-{index}"]
    )
    return face


def wait_whole(lab: Lab) -> None:
    """Until every shard has all its copies in sync."""
    lab.coordinators[0].wait_until(
        "whole", lambda: all(shard["CopiesInSync"] == 3 for shard in lab.shards(COLLECTION)), seconds=60
    )


def decides(lab: Lab) -> Node:
    """A node that decides for a shard; not node-1, which keeps the ledger, without which nobody is answered."""
    return next(lab.node(shard["Node"]) for shard in lab.shards(COLLECTION) if shard["Node"] != "node-1")


def wait_taken_over(lab: Lab, gone: Node) -> None:
    lab.coordinators[0].wait_until(
        "taken over", lambda: all(shard["Node"] != gone.label for shard in lab.shards(COLLECTION)), seconds=60
    )


def require_kept(lab: Lab, writers: Clients) -> None:
    writers.require_no_error()
    for coordinator in lab.coordinators:
        there = set(coordinator.face_ids(COLLECTION))
        lost = set(writers.answered) - there
        assert not lost, f"{len(lost)} faces are lost"


def test_every_node_has_copies_and_all_are_in_sync(lab: Lab) -> None:
    wait_whole(lab)
    for shard in lab.shards(COLLECTION):
        nodes = [copy["Node"] for copy in shard["Copies"]]
        assert len(set(nodes)) == 3 and shard["Node"] in nodes, shard
    shards = len(lab.shards(COLLECTION))
    wanted = {"primary": shards, "in_sync": 3 * shards, "behind": 0}

    def parts() -> dict[str, float]:
        nodes = [node.metrics() for node in lab.nodes]
        return {part: sum(metrics[f"facet_node_copies_{part}"] for metrics in nodes) for part in wanted}

    # Each copy hears of a change by itself.
    lab.coordinators[0].wait_until("known to every copy", lambda: parts() == wanted, seconds=30)


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_node_that_goes_is_stood_in_for(lab: Lab, fault: str) -> None:
    """No client sees an error, whoever decided for a shard."""
    wait_whole(lab)
    gone = decides(lab)
    with Clients(lab, enrol) as writers:
        writers.wait_for(20)
        getattr(gone, fault)()
        writers.wait_for(20)
        wait_taken_over(lab, gone)
        if fault == "kill":
            gone.start()
        else:
            gone.resume()
        wait_whole(lab)
        writers.wait_for(20)
    require_kept(lab, writers)
    assert writers.longest < TAKEOVER_SECONDS


def test_searches_find_what_was_enrolled_before_the_takeover(lab: Lab) -> None:
    wait_whole(lab)
    vectors = unit_vectors(20, seed=7)
    names = [f"s{number}" for number in range(20)]
    lab.coordinators[0].index_vectors(COLLECTION, vectors, names)
    gone = decides(lab)
    gone.kill()
    for number in range(20):
        coordinator = lab.coordinators[number % 2]
        matches = coordinator.search_vector(COLLECTION, vectors[number], limit=1, cosine=0.9).json["FaceMatches"]
        assert [match["Face"]["ExternalImageId"] for match in matches] == [names[number]]
    gone.start()
    wait_whole(lab)


def test_deleted_faces_stay_deleted_through_takeovers(lab: Lab) -> None:
    wait_whole(lab)
    vectors = unit_vectors(30, seed=8)
    client = lab.coordinators[0].client()
    ids = lab.coordinators[0].index_vectors(COLLECTION, vectors, [f"d{number}" for number in range(30)])
    assert sorted(client.delete_faces(CollectionId=COLLECTION, FaceIds=ids)["DeletedFaces"]) == sorted(ids)
    for _ in range(2):
        gone = decides(lab)
        gone.kill()
        wait_taken_over(lab, gone)
        assert not set(ids) & set(lab.coordinators[1].face_ids(COLLECTION))
        gone.start()
        wait_whole(lab)
        assert not set(ids) & set(lab.coordinators[0].face_ids(COLLECTION))


def test_without_etcd_healthy_shards_serve(lab: Lab) -> None:
    """Only what changes the cluster itself waits: nobody who enrols, deletes or searches sees an error."""
    wait_whole(lab)
    missed: list[str] = []

    def use(coordinator: Coordinator, number: int, index: int) -> str:
        face = enrol(coordinator, number + 10, index)
        vector = unit_vectors(1, seed=1_000_000 * (number + 11) + index)[0]
        matches = coordinator.search_vector(COLLECTION, vector, limit=1, cosine=0.99).json["FaceMatches"]
        if [match["Face"]["FaceId"] for match in matches] != [face]:
            missed.append(f"{face}: {matches}")
        if index % 4 == 0:
            coordinator.client().delete_faces(CollectionId=COLLECTION, FaceIds=[face])
            return f"deleted {face}"
        time.sleep(0.05)
        return face

    with Clients(lab, use) as users:
        users.wait_for(10)
        for member in lab.etcd:
            member.kill()
        end = time.monotonic() + WITHOUT_ETCD_SECONDS
        while time.monotonic() < end:
            users.wait_for(1)
        assert all(coordinator.metrics()["facet_control_plane_stale"] == 1 for coordinator in lab.coordinators)
        for member in lab.etcd:
            member.start()
        users.wait_for(10)
    users.require_no_error()
    assert not missed, f"{len(missed)} faces were enrolled and not found: {missed[:3]}"
    there = set(lab.coordinators[1].face_ids(COLLECTION))
    deleted = {answer.removeprefix("deleted ") for answer in users.answered if answer.startswith("deleted ")}
    assert not deleted & there
    assert set(users.answered) - there == {f"deleted {face}" for face in deleted}
    print(f"{len(users.answered)} answers, the longest after {users.longest:.2f} s")
    wait_whole(lab)


def test_a_cluster_that_starts_again_has_everything(lab: Lab) -> None:
    wait_whole(lab)
    before = set(lab.coordinators[0].face_ids(COLLECTION))
    for node in lab.nodes:
        node.kill()
    for node in lab.nodes:
        node.launch()
    for node in lab.nodes:
        node.wait_ready()
    wait_whole(lab)
    assert before and set(lab.coordinators[0].face_ids(COLLECTION)) == before
