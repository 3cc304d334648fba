"""Segments of a running cluster that rot: the scrub finds them, the other copies give what is missing, and no client is
answered wrongly meanwhile."""

import time
from collections.abc import Callable
from pathlib import Path

from cluster import Lab, total
from harness import READY_SECONDS, unit_vectors

COLLECTION = "repaired"
# More than a copy holds in memory alone.
FACES = 4_200
AT_ONCE = 600
STILL_SECONDS = 2


def segments(lab: Lab) -> dict[str, Path]:
    """The one segment of each node that has one."""
    found = {node.label: list((lab.folder / node.label / "shards").glob("*/segments/*.seg")) for node in lab.nodes}
    return {label: paths[0] for label, paths in found.items() if paths}


def wait_still(lab: Lab) -> None:
    """Until each node has a segment, and no merge is about to replace one."""
    deadline, since, before = time.monotonic() + READY_SECONDS, time.monotonic(), segments(lab)
    while len(before) < len(lab.nodes) or time.monotonic() < since + STILL_SECONDS:
        assert time.monotonic() < deadline, f"segments come and go: {before}"
        time.sleep(0.1)
        if (now := segments(lab)) != before:
            since, before = time.monotonic(), now


def turn(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x41]))


def test_rotten_segments_are_repaired_while_clients_search(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(Lab, nodes=3, coordinators=1, copies=3, scrub_after=1)
    coordinator = lab.coordinators[0]
    coordinator.call("FacetService.CreateCollection", {"CollectionId": COLLECTION, "Shards": 1})
    vectors = unit_vectors(FACES, seed=41)
    for start in range(0, FACES, AT_ONCE):
        names = [f"f{index}" for index in range(start, start + AT_ONCE)]
        coordinator.index_vectors(COLLECTION, vectors[start : start + AT_ONCE], names)
    wait_still(lab)
    [shard] = lab.shards(COLLECTION)
    sound = next(node.label for node in lab.nodes if node.label != shard["Node"])
    rotten = {label: path for label, path in segments(lab).items() if label != sound}
    # In blocks of vectors of different faces, and in one with planes.
    for label, place in zip(rotten, (300_000, 900_000), strict=True):
        turn(rotten[label], place)
    turn(rotten[shard["Node"]], rotten[shard["Node"]].stat().st_size - 20_000)

    def require_answers() -> None:
        for number in (0, 17, FACES - 1):
            [match] = coordinator.search_vector(COLLECTION, vectors[number], limit=1, cosine=0.99).json["FaceMatches"]
            assert match["Face"]["ExternalImageId"] == f"f{number}"

    def repaired(label: str) -> bool:
        require_answers()
        return total(lab.node(label).metrics(), "facet_rot_repaired_total") >= 1

    for label in rotten:
        coordinator.wait_until(f"{label} repaired", lambda label=label: repaired(label))
        assert "a rotten segment was repaired" in lab.node(label).log
    assert not set(segments(lab).values()) & set(rotten.values())
    # What is on the disks is sound.
    for label in rotten:
        node = lab.node(label)
        before = len(node.log)
        node.kill()
        node.start()
        lab.wait_complete()
        assert "rotten" not in node.log[before:]
    require_answers()
    # Nobody mends the ledger's files by himself, but they are read too.
    [log] = (lab.folder / "node-1" / "ledger" / "wal").glob("*.log")
    turn(log, 4_200)
    keeper = lab.node("node-1")
    keeper.wait_until("said", lambda: "the ledger's files are rotten" in keeper.log)
    lab.kill()
