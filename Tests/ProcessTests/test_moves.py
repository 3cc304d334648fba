"""Copies of shards that are moved, made anew and handed over by an operator, while clients use the cluster."""

import shutil
from collections.abc import Callable

import pytest

from clients import Clients
from cluster import Coordinator, Lab, Node
from harness import facectl, unit_vectors

COLLECTION = "moved"


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab(Lab, copies=3)
    lab.coordinators[0].client().create_collection(CollectionId=COLLECTION)
    lab.coordinators[0].index_vectors(COLLECTION, unit_vectors(200, seed=1), [f"f{number}" for number in range(200)])
    return lab


def operate(lab: Lab, *arguments: str, fails: bool = False) -> str:
    done = facectl(*arguments, environment=lab.coordinators[1].environment)
    assert (done.returncode != 0) == fails, f"facectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def enrol(coordinator: Coordinator, number: int, index: int) -> str:
    [face] = coordinator.index_vectors(
        COLLECTION, unit_vectors(1, seed=1_000_000 * (number + 1) + index), [f"w{number}-{index}"]
    )
    return face


def nodes(shard: dict) -> set[str]:
    return {copy["Node"] for copy in shard["Copies"]}


def wait_whole(lab: Lab) -> None:
    lab.coordinators[0].wait_until(
        "whole",
        lambda: all(shard["CopiesInSync"] == 3 and len(nodes(shard)) == 3 for shard in lab.shards(COLLECTION)),
        seconds=60,
    )


def require_kept(lab: Lab, writers: Clients) -> None:
    writers.require_no_error()
    for coordinator in lab.coordinators:
        lost = set(writers.answered) - set(coordinator.face_ids(COLLECTION))
        assert not lost, f"{len(lost)} faces are lost"


def other_than(lab: Lab, taken: set[str]) -> Node:
    return next(node for node in lab.nodes if node.label not in taken)


def test_another_copy_takes_over_when_asked(lab: Lab) -> None:
    wait_whole(lab)
    shard = lab.shards(COLLECTION)[0]
    with Clients(lab, enrol) as writers:
        writers.wait_for(10)
        said = operate(lab, "shard", "resign", shard["Shard"])
        writers.wait_for(10)
    assert lab.shards(COLLECTION)[0]["Epoch"] > shard["Epoch"], said
    require_kept(lab, writers)


def test_a_copy_is_moved_also_that_which_decides(lab: Lab) -> None:
    with Clients(lab, enrol) as writers:
        for _ in range(2):
            wait_whole(lab)
            shard = lab.shards(COLLECTION)[0]
            old, new = shard["Node"], other_than(lab, nodes(shard)).label
            writers.wait_for(10)
            said = operate(lab, "shard", "move", shard["Shard"][:8], "--from", old, "--to", new)
            assert f"the copy on {new} counts" in said, said
            assert nodes(lab.shards(COLLECTION)[0]) == nodes(shard) - {old} | {new}
            assert not (lab.folder / old / "shards" / shard["Shard"]).exists()
            writers.wait_for(10)
    require_kept(lab, writers)
    # What was done is not done again.
    assert f"the copy on {new} counts" in operate(lab, "shard", "move", shard["Shard"], "--from", old, "--to", new)


def test_a_copy_whose_files_are_lost_is_made_anew(lab: Lab) -> None:
    wait_whole(lab)
    shard = lab.shards(COLLECTION)[0]
    victim = lab.node(next(copy["Node"] for copy in shard["Copies"] if copy["Node"] not in ("node-1", shard["Node"])))
    before = {copy["Replica"] for copy in shard["Copies"]}
    victim.kill()
    shutil.rmtree(lab.folder / victim.label / "shards" / shard["Shard"])
    with Clients(lab, enrol) as writers:
        writers.wait_for(20)
        victim.start()
        operate(lab, "shard", "rebuild", shard["Shard"], "--node", victim.label)
        writers.wait_for(10)
    wait_whole(lab)
    after = {copy["Replica"] for copy in lab.shards(COLLECTION)[0]["Copies"]}
    assert len(after - before) == 1 and nodes(lab.shards(COLLECTION)[0]) == nodes(shard)
    require_kept(lab, writers)


def test_a_node_whose_disk_is_lost_is_drained(lab: Lab) -> None:
    """Every shard gets its third copy on the node that had none; the lost node need not be there."""
    wait_whole(lab)
    gone = next(node for node in lab.nodes if node.label not in ("node-1",))
    held = [shard for shard in lab.shards(COLLECTION) if gone.label in nodes(shard)]
    assert held
    with Clients(lab, enrol) as writers:
        writers.wait_for(10)
        gone.kill()
        shutil.rmtree(lab.folder / gone.label)
        said = operate(lab, "node", "drain", gone.label)
        assert f"{gone.label} has no copies" in said, said
        writers.wait_for(10)
    wait_whole(lab)
    assert not any(gone.label in nodes(shard) for shard in lab.shards(COLLECTION))
    require_kept(lab, writers)
    matches = lab.coordinators[0].search_vector(COLLECTION, unit_vectors(200, seed=1)[7], limit=1, cosine=0.9)
    assert [match["Face"]["ExternalImageId"] for match in matches.json["FaceMatches"]] == ["f7"]
    assert "has a copy" in operate(lab, "node", "drain", "node-1", fails=True)


def test_what_cannot_be_moved_is_refused(lab: Lab) -> None:
    shard = lab.shards(COLLECTION)[0]["Shard"]
    one, other, _ = sorted(nodes(lab.shards(COLLECTION)[0]))
    for arguments, reason in [
        (("move", shard, "--from", one, "--to", other), f"a copy on node {other} already"),
        (("move", shard, "--from", "node-99", "--to", "node-98"), "no copy on node node-99"),
        (("move", "ffffffff", "--from", "node-1", "--to", "node-2"), "there is no shard"),
        (("rebuild", shard, "--node", "node-2"), "no copy on node node-2"),
    ]:
        assert reason in operate(lab, "shard", *arguments, fails=True)
    assert len(nodes(lab.shards(COLLECTION)[0])) == 3


def test_copies_of_a_node_that_is_gone_are_made_anew_by_the_controller(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(Lab, copies=3, replace_after=3)
    lab.coordinators[0].client().create_collection(CollectionId=COLLECTION)
    faces = lab.coordinators[0].index_vectors(
        COLLECTION, unit_vectors(200, seed=1), [f"f{number}" for number in range(200)]
    )
    wait_whole(lab)
    gone = lab.node("node-3")
    lost = {shard["Shard"] for shard in lab.shards(COLLECTION) if gone.label in nodes(shard)}
    assert lost
    with Clients(lab, enrol) as writers:
        gone.kill()
        lab.coordinators[0].wait_until(
            "replaced", lambda: all(gone.label not in nodes(shard) for shard in lab.shards(COLLECTION)), seconds=60
        )
        wait_whole(lab)
        writers.wait_for(20)
    require_kept(lab, writers)
    assert set(faces) <= set(lab.coordinators[1].face_ids(COLLECTION))
    assert sum(coordinator.log.count("its copies are made anew on others") for coordinator in lab.coordinators) == 1
    # What was moved away while it was gone it does not serve; its files are an operator's to remove.
    gone.start()
    assert gone.metrics()["facet_node_shards"] == 0
