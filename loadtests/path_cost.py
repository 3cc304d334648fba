"""`make loadtest`: what SearchFacesByImage costs beside the extraction, on a gallery of a given size.

Printed in one run on one machine: the whole search by photo, the server's own extraction time, the same search by
vector (everything but the extraction), a peer that only scans the same vectors (numpy, one thread), and the floor that
no durable search can go below (one fdatasync of the same disk; a search writes its two ledger leaves).
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Before numpy is loaded: the peer has one thread.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests/ProcessTests"))

import numpy as np  # noqa: E402

from harness import PHOTOS, Server, photo, unit_vectors  # noqa: E402

COLLECTION = "path-cost"
BATCH = 1000
PATH_MS_MAX = 5.0
EXTRACTION = "facet_extraction_seconds"
REQUEST = "facet_request_seconds"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where the data directory is made (default: beside the build)")
    arguments = parser.parse_args()
    folder = arguments.folder or ROOT / ".build"
    with tempfile.TemporaryDirectory(prefix="path-cost-", dir=folder) as scratch:
        server = Server(Path(scratch) / "data")
        server.start()
        try:
            held = measure(server, arguments.faces, arguments.searches)
        finally:
            server.stop()
    sys.exit(0 if held else 1)


def measure(server: Server, faces: int, searches: int) -> bool:
    print(machine())
    vectors = unit_vectors(faces, seed=31)
    seconds = fill(server, vectors)
    print(f"{faces:,} faces enrolled in {seconds:.1f} s ({faces / seconds:,.0f} a second)")
    by_photo, served, extraction = search_by_photo(server, searches)
    path = [whole - part for whole, part in zip(served, extraction, strict=True)]
    rest = [whole - part for whole, part in zip(by_photo, extraction, strict=True)]
    probes = unit_vectors(searches, seed=32)
    by_vector = timed(lambda index: server.search_vector(COLLECTION, probes[index], cosine=0.36), searches)
    peer = timed(lambda index: brute_force(vectors, probes[index]), min(searches, 50))
    floor = timed_fdatasync(server.data, searches)
    print(f"{'':44}{'p50':>9}{'p99':>9}   ms")
    row("SearchFacesByImage, client's view", by_photo)
    row("  of it in the server, by its metric", served)
    row("  of that extraction, by its metric", extraction)
    row(f"  the path: server less extraction (limit of the p50: {PATH_MS_MAX:g})", path)
    row("  with boto3's own share and the wire", rest)
    row("SearchByVector (the path without extraction)", by_vector)
    row("peer: numpy fp32 scan, one thread", peer)
    row("floor: one fdatasync", floor)
    return percentile(path, 50) <= PATH_MS_MAX


def fill(server: Server, vectors: np.ndarray) -> float:
    client = server.client()
    client.create_collection(CollectionId=COLLECTION)
    began = time.monotonic()
    for start in range(0, len(vectors), BATCH):
        batch = vectors[start : start + BATCH]
        server.index_vectors(COLLECTION, batch, [f"g{start + index}" for index in range(len(batch))])
    seconds = time.monotonic() - began
    for name in ("obama.jpg", "biden.jpg"):
        client.index_faces(CollectionId=COLLECTION, Image={"Bytes": photo(name)}, ExternalImageId=name)
    return seconds


def search_by_photo(server: Server, searches: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of each search as the client sees it, as the server measures it, and of the extraction in it."""
    client = server.client("load-test", "load-test")
    image = {"Bytes": (PHOTOS / "obama2.jpg").read_bytes()}

    def search(_: int) -> None:
        found = client.search_faces_by_image(CollectionId=COLLECTION, Image=image, MaxFaces=10)["FaceMatches"]
        assert found[0]["Face"]["ExternalImageId"] == "obama.jpg"

    timed(search, 5)
    times, served, extraction = [], [], []
    for _ in range(searches):
        before = [total(server, EXTRACTION), total(server, REQUEST)]
        times += timed(search, 1)
        after = [total(server, EXTRACTION), total(server, REQUEST)]
        for metric, (count, seconds), (count_after, seconds_after), into in zip(
            (EXTRACTION, REQUEST), before, after, (extraction, served), strict=True
        ):
            assert count_after == count + 1, f"{metric} counted {count_after - count} in one search"
            into.append((seconds_after - seconds) * 1000)
    return times, served, extraction


def total(server: Server, metric: str) -> tuple[float, float]:
    """Count and sum in seconds of a metric; of requests, those of this operation."""
    text = server.get("/metrics").body.decode()
    labels = re.escape('{operation="RekognitionService.SearchFacesByImage"}') if metric == REQUEST else ""
    parts = []
    for suffix in ("count", "sum"):
        found = re.search(rf"^{metric}_{suffix}{labels} ([0-9.e+-]+)$", text, re.MULTILINE)
        assert found, f"/metrics has no {metric}_{suffix}"
        parts.append(float(found[1]))
    return parts[0], parts[1]


def timed(call: Callable[[int], object], count: int) -> list[float]:
    """Milliseconds of `count` calls."""
    times = []
    for index in range(count):
        began = time.perf_counter()
        call(index)
        times.append((time.perf_counter() - began) * 1000)
    return times


def brute_force(vectors: np.ndarray, probe: np.ndarray) -> np.ndarray:
    scores = vectors @ probe
    best = np.argpartition(scores, -10)[-10:]
    return best[np.argsort(-scores[best])]


def timed_fdatasync(folder: Path, count: int) -> list[float]:
    """Overwrites a page of an allocated file, as a pre-zeroed log does."""
    path = folder / "fdatasync.tmp"
    with path.open("w+b", buffering=0) as file:
        file.write(b"\0" * (1 << 20))
        os.fsync(file.fileno())

        def write(index: int) -> None:
            os.pwrite(file.fileno(), b"\1" * 4096, index % 256 * 4096)
            os.fdatasync(file.fileno())

        times = timed(write, count)
    path.unlink()
    return times


def row(title: str, times: list[float]) -> None:
    print(f"{title:44}{percentile(times, 50):9.2f}{percentile(times, 99):9.2f}")


def percentile(times: list[float], rank: float) -> float:
    return float(np.percentile(times, rank))


def machine() -> str:
    """What the figures were measured on, and of which commit."""
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    load = json.dumps([round(value, 2) for value in os.getloadavg()])
    return f"{models[0] if models else os.uname().machine}, {os.cpu_count()} cores, load {load}, commit {commit or '-'}"


if __name__ == "__main__":
    main()
