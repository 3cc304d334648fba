"""A full disk refuses writes, keeps answering searches, and recovers alone."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import CallFailed, Server, unit_vectors

DISK_MIB = 192
COLLECTION = "full"
RECOVERS_WITHIN_SECONDS = 30


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(disk)], check=True)
    yield disk
    # Lazily: a server that a failed test left behind may still have files open.
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(path: Path) -> None:
    """Takes every byte that is left."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            while True:
                try:
                    file.write(b"\xff" * size)
                except OSError:
                    break


def enrol(server: Server, seed: int) -> list[str]:
    return server.index_vectors(COLLECTION, unit_vectors(20, seed), [f"s{seed}-{index}" for index in range(20)])


def test_full_disk(small_disk: Path, make_server: Callable[..., Server]) -> None:
    server = make_server(small_disk / "data")
    server.start()
    server.client().create_collection(CollectionId=COLLECTION)
    faces = enrol(server, 1)
    fill(small_disk / "ballast")

    refusals = 0
    for seed in range(2, 400):
        try:
            faces += enrol(server, seed)
        except CallFailed as failure:
            assert failure.response.error in ("ProvisionedThroughputExceededException", "InternalServerError")
            assert "space" in failure.response.message or "full" in failure.response.message
            refusals += 1
            if refusals == 3:
                break
    assert refusals == 3, "a full disk took every write"
    searches = [server.search_vector(COLLECTION, vector, limit=1, cosine=0.9) for vector in unit_vectors(20, 1)]
    assert [answer.json["FaceMatches"][0]["Face"]["FaceId"] for answer in searches] == faces[:20]
    assert sorted(server.face_ids(COLLECTION)) == sorted(faces), "a refused enrolment is there"

    (small_disk / "ballast").unlink()
    deadline = time.monotonic() + RECOVERS_WITHIN_SECONDS
    while True:
        try:
            faces += enrol(server, 1000)
            break
        except CallFailed:
            assert time.monotonic() < deadline, "writes are still refused though there is space"
            time.sleep(0.2)
    server.kill()
    server.start()
    assert sorted(server.face_ids(COLLECTION)) == sorted(faces)
    assert all(server.search_record(answer.headers["x-facet-search-id"]).status == 200 for answer in searches)
