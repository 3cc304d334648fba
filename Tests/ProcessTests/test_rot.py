"""Files of a stopped server that rot: the server starts all the same, names the file, and answers right or not at all.
The unit tests flip every byte of every format; here it is the real process on sampled places."""

import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness import Key, Server, facectl, unit_vectors

FLIPS = int(os.environ.get("FACET_ROT_FLIPS", "24"))
AT_ONCE = 2
COLLECTION = "rot"
# SQLite's own files carry no checksums of pages; replica and ledger check what they take from them. When files were
# scrubbed is nothing to rely on.
UNCHECKED = (".sqlite", ".sqlite-wal", ".sqlite-shm", "scrubbed")


@dataclass
class Specimen:
    """A small data directory of a stopped server, and what that server answered."""

    data: Path
    key: Key
    vectors: np.ndarray
    faces: list[str]
    matches: list[list[dict[str, object]]]
    searches: list[str]

    def files(self) -> list[Path]:
        found = [path for path in (self.data / "shards").rglob("*") if path.is_file()]
        found += [path for path in (self.data / "ledger").rglob("*") if path.is_file()]
        return sorted(path for path in found if not path.name.endswith(UNCHECKED) and path.stat().st_size > 0)


@pytest.fixture(scope="module")
def specimen(tmp_path_factory: pytest.TempPathFactory) -> Specimen:
    server = Server(tmp_path_factory.mktemp("rot") / "data")
    server.start()
    try:
        server.client().create_collection(CollectionId=COLLECTION)
        vectors = unit_vectors(40, seed=11)
        faces = server.index_vectors(COLLECTION, vectors[:30], [f"r{index}" for index in range(30)])
        faces += server.index_vectors(COLLECTION, vectors[30:], [f"r{index}" for index in range(30, 40)])
        server.call("RekognitionService.DeleteFaces", {"CollectionId": COLLECTION, "FaceIds": faces[:5]})
        answers = [server.search_vector(COLLECTION, vector, limit=5, cosine=-1) for vector in vectors[:8]]
    finally:
        server.stop()
    assert server.key is not None
    return Specimen(
        server.data, server.key, vectors, faces[5:],
        [answer.json["FaceMatches"] for answer in answers], [answer.headers["x-facet-search-id"] for answer in answers],
    )


def places(path: Path, generator: random.Random, count: int) -> list[int]:
    """The start, the end, and places between where the file is not zero: pre-allocated room carries nothing."""
    data = path.read_bytes()
    used = len(data.rstrip(b"\0"))
    inside = [generator.randrange(used) for _ in range(count)] if used else []
    return sorted({0, max(used - 1, 0), *inside})


def test_rot_is_named_and_never_answered_from(specimen: Specimen, tmp_path: Path) -> None:
    generator = random.Random(12)
    files = specimen.files()
    assert files, "a stopped server has files"
    flips = [
        (path.relative_to(specimen.data), place)
        for path in files
        for place in places(path, generator, max(1, FLIPS // len(files)))
    ]

    def problems_of(number: int) -> list[str]:
        relative, place = flips[number]
        found = after_flip(specimen, tmp_path / str(number), relative, place)
        return [f"{relative} at {place}: {text}" for text in found]

    # While one server loads its models another is asked.
    with ThreadPoolExecutor(AT_ONCE) as threads:
        problems = [text for texts in threads.map(problems_of, range(len(flips))) for text in texts]
    print(f"\n{len(flips)} flips in {len(files)} files")
    assert not problems, "\n".join(problems)


def after_flip(specimen: Specimen, folder: Path, relative: Path, place: int) -> list[str]:
    """What was wrong about a server on a copy of the specimen with one byte flipped; the copy goes again."""
    data = folder / "data"
    shutil.copytree(specimen.data, data)
    with (data / relative).open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x41]))
    verified = facectl("ledger", "verify", "--data", str(data))
    server = Server(data, key=specimen.key)
    try:
        server.start(ready=False)
        problems = wrong_answers(server, specimen)
    except AssertionError as failure:
        return [f"no start: {str(failure)[-600:]}"]
    finally:
        server.kill()
        shutil.rmtree(data)
    if relative.name not in server.log and relative.name not in verified.stdout + verified.stderr:
        problems.append("neither the log nor facectl ledger verify names the file")
    return problems


def wrong_answers(server: Server, specimen: Specimen) -> list[str]:
    """An error is allowed, anything else must be what the whole server said."""
    problems: list[str] = []
    listed = server.post("RekognitionService.ListFaces", {"CollectionId": COLLECTION, "MaxResults": 4096})
    if listed.status == 200:
        ids = sorted(face["FaceId"] for face in listed.json["Faces"])
        if ids != sorted(specimen.faces):
            problems.append(f"{len(ids)} faces listed of {len(specimen.faces)}")
    for vector, matches in zip(specimen.vectors, specimen.matches, strict=False):
        body = {"CollectionId": COLLECTION, "Vector": [float(x) for x in vector], "MaxFaces": 5, "CosineThreshold": -1}
        answer = server.post("FacetService.SearchByVector", body)
        if answer.status == 200 and answer.json["FaceMatches"] != matches:
            problems.append("another answer to a search")
        if answer.status not in (200, 400, 500):
            problems.append(f"status {answer.status} for a search")
    for search in specimen.searches:
        record = server.search_record(search)
        if record.status == 200 and search not in json.dumps(record.json):
            problems.append("another search's record")
        if record.error == "ResourceNotFoundException":
            problems.append(f"the search {search} is said not to be on record")
    return problems


def test_a_whole_specimen_starts_ready(specimen: Specimen, tmp_path: Path, make_server: Callable[..., Server]) -> None:
    data = tmp_path / "whole"
    shutil.copytree(specimen.data, data)
    server = make_server(data, key=specimen.key).start()
    assert wrong_answers(server, specimen) == []
    assert all(server.search_record(search).status == 200 for search in specimen.searches)


def end_of_records(log: bytes) -> int:
    """The place behind the last record of a log segment (docs/formats/wal.md)."""
    place = 4096
    while log[place : place + 4] == struct.pack("<I", 0x46574C01):
        place += (56 + int.from_bytes(log[place + 4 : place + 8], "little") + 7) // 8 * 8
    return place


def test_a_torn_tail_is_cut_and_served(specimen: Specimen, tmp_path: Path, make_server: Callable[..., Server]) -> None:
    """Half a record at the end of a log is what a power cut leaves: nothing acknowledged is in it."""
    data = tmp_path / "torn"
    shutil.copytree(specimen.data, data)
    logs = [path for path in (data / "shards").rglob("*.log") if path.is_file()]
    assert logs
    for path in logs:
        with path.open("r+b") as file:
            file.seek(end_of_records(path.read_bytes()))
            file.write(random.Random(13).randbytes(100))
    server = make_server(data, key=specimen.key).start()
    assert wrong_answers(server, specimen) == []
