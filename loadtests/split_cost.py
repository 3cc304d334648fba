"""`make loadtest-splits`: how long a shard takes no writes while it is split into two, and what searches notice of it.

One shard with three copies among four nodes of this machine. Beside it the floor: the shard's bytes written once for each
copy and synced, to the same disk.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests/ProcessTests"))

from cluster import Lab  # noqa: E402
from copies_cost import Client  # noqa: E402
from harness import CallFailed, encode, facectl, unit_vectors  # noqa: E402
from moves_cost import BATCH, CHUNK, COLLECTION, SEARCHES, fill  # noqa: E402
from path_cost import machine, percentile, timed  # noqa: E402

COPIES = 3


class Writer(threading.Thread):
    """Enrols a face at a time, and keeps the longest time between two that were acknowledged."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(daemon=True)
        self.lab = lab
        self.gap = 0.0
        self.refused = 0
        self.ending = threading.Event()

    def run(self) -> None:
        last, number = time.monotonic(), 0
        while not self.ending.is_set():
            number += 1
            try:
                self.lab.coordinators[0].index_vectors(COLLECTION, unit_vectors(1, seed=10_000_000 + number), [f"w{number}"])
            except CallFailed:
                self.refused += 1
                continue
            now = time.monotonic()
            self.gap, last = max(self.gap, now - last), now


def disk_bytes(lab: Lab) -> int:
    shard = lab.shards(COLLECTION)[0]["Shard"]
    folder = lab.folder / lab.shards(COLLECTION)[0]["Node"] / "shards" / shard
    return sum(file.stat().st_size for file in (folder / "segments").iterdir())


def floor(folder: Path, count: int) -> float:
    """Seconds for writing and syncing so many bytes."""
    began = time.monotonic()
    with open(folder / "floor", "wb") as file:
        for _ in range(0, count, CHUNK):
            file.write(os.urandom(CHUNK))
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=200_000)
    faces = parser.parse_args().faces
    print(machine())
    with tempfile.TemporaryDirectory(prefix="split-cost-", dir=ROOT / ".build") as scratch:
        lab = Lab(Path(scratch) / "lab", coordinators=1, members=1, copies=COPIES)
        try:
            lab.start()
            fill(lab, faces)
            bodies: list[dict[str, object]] = [
                {"CollectionId": COLLECTION, "Vector": encode(vector), "CosineThreshold": 0.36}
                for vector in unit_vectors(20 * SEARCHES, seed=5)
            ]
            search = Client(lab.coordinators[0], "FacetService.SearchByVector", bodies)
            timed(search.call, 20)
            idle = timed(search.call, SEARCHES)
            count = disk_bytes(lab)
            shard = lab.shards(COLLECTION)[0]["Shard"]
            writer = Writer(lab)
            writer.start()
            began = time.monotonic()
            splitter = threading.Thread(
                target=facectl, args=("shard", "split", shard),
                kwargs={"environment": lab.coordinators[0].environment, "timeout": 900},
            )
            splitter.start()
            busy: list[float] = []
            while splitter.is_alive() and len(busy) < 19 * SEARCHES:
                begin = len(busy) + SEARCHES
                busy += timed(lambda index, begin=begin: search.call(index + begin), 10)
            splitter.join()
            took = time.monotonic() - began
            halves = len(lab.shards(COLLECTION))
            writer.ending.set()
            writer.join()
        finally:
            lab.kill()
        least = floor(Path(scratch), COPIES * count)
    print(f"{faces:,} faces, {count / 1e6:.0f} MB a copy: {halves} shards after {took:.1f} s")
    print(
        f"longest time without a write: {writer.gap:.1f} s, {writer.gap / least:.1f} times what writing {COPIES} copies "
        f"takes ({least:.1f} s); writes refused: {writer.refused}"
    )
    print(f"{'searches, ms':40}{'p50':>9}{'p99':>9}{'most':>9}")
    for title, times in (("idle", idle), (f"while it is split ({len(busy)})", busy)):
        print(f"{title:40}{percentile(times, 50):9.2f}{percentile(times, 99):9.2f}{max(times):9.2f}")
    sys.exit(0 if halves == 2 else 1)


if __name__ == "__main__":
    main()
