"""The ledger shows when someone edits it, and without it no search is answered."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import Server, facectl, unit_vectors

COLLECTION = "record"
SEARCHES = 40


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A stopped server with searches on record."""
    server = Server(tmp_path_factory.mktemp("ledger") / "data")
    server.start()
    try:
        server.client().create_collection(CollectionId=COLLECTION)
        vectors = unit_vectors(10, seed=21)
        server.index_vectors(COLLECTION, vectors, [f"l{index}" for index in range(10)])
        for index in range(SEARCHES):
            server.search_vector(COLLECTION, vectors[index % 10])
    finally:
        server.stop()
    return server


def verify(data: Path) -> subprocess.CompletedProcess[str]:
    return facectl("ledger", "verify", "--data", str(data))


def test_a_whole_ledger_verifies_stopped_and_running(searched: Server, make_server: Callable[..., Server]) -> None:
    done = verify(searched.data)
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(2 * SEARCHES) in done.stdout, "two leaves a search"
    server = make_server(searched.data, key=searched.key).start()
    assert verify(server.data).returncode == 0
    server.stop()


def test_an_edited_byte_is_found_and_its_leaf_named(searched: Server, tmp_path: Path) -> None:
    data = tmp_path / "edited"
    named: set[str] = set()
    files = [path for path in (searched.data / "ledger").rglob("*") if path.is_file() and path.stat().st_size]
    for path in files:
        used = len(path.read_bytes().rstrip(b"\0"))
        for place in {used // 4, used // 2, used * 3 // 4} if used else set():
            shutil.rmtree(data, ignore_errors=True)
            shutil.copytree(searched.data, data)
            edited = data / path.relative_to(searched.data)
            content = bytearray(edited.read_bytes())
            content[place] ^= 1
            edited.write_bytes(content)
            done = verify(data)
            said = done.stdout + done.stderr
            assert done.returncode not in (0, -6, -11), f"{path.name} at {place} was not noticed: {said}"
            assert path.name in said or re.search(r"leaf \d+", said), f"{path.name} at {place}: {said}"
            named.update(re.findall(r"leaf \d+", said))
    assert named, "no edit led to a leaf"


def test_a_ledger_cut_short_is_noticed(searched: Server, tmp_path: Path) -> None:
    """Removing the last searches leaves a valid shorter log; the signed checkpoint says how long it was."""
    data = tmp_path / "cut"
    shutil.copytree(searched.data, data)
    logs = [path for path in (data / "ledger").rglob("*") if path.is_file() and "wal" in str(path.relative_to(data))]
    assert logs
    largest = max(logs, key=lambda path: len(path.read_bytes().rstrip(b"\0")))
    content = largest.read_bytes()
    used = len(content.rstrip(b"\0"))
    largest.write_bytes(content[: used // 2] + b"\0" * (len(content) - used // 2))
    assert verify(data).returncode != 0


def test_searches_are_refused_while_the_ledger_cannot_be_written(
    make_server: Callable[..., Server], searched: Server, tmp_path: Path
) -> None:
    data = tmp_path / "gone"
    shutil.copytree(searched.data, data)
    for path in (data / "ledger").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\x55" * path.stat().st_size)
    server = make_server(data, key=searched.key)
    server.start(ready=False)
    body = {"CollectionId": COLLECTION, "Vector": [1.0] + [0.0] * 127}
    answer = server.post("FacetService.SearchByVector", body)
    assert answer.status in (400, 500), answer.body
    assert "ledger" in answer.message
    assert server.get("/readyz").status == 503
