"""`make loadtest-moves`: how fast a copy of a shard is built on another node, and what searches notice of it.

One shard with three copies among four nodes of this machine, more faces than the log keeps records of: so the new copy
is made from the primary's files. Beside it the floor: the same bytes through one loopback connection, and written and
synced to the same disk.
"""

import argparse
import os
import re
import socket
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
from harness import encode, facectl, unit_vectors  # noqa: E402
from path_cost import machine, percentile, timed  # noqa: E402

COLLECTION = "moves-cost"
BATCH = 1_000
SEARCHES = 300
# Searches while a copy is made, beside idle: the bar of p99. The share of the floor that is to be reached.
SEARCH_MAX = 2.0
FLOOR_MIN = 0.5
CHUNK = 4 << 20


def fill(lab: Lab, faces: int) -> None:
    coordinator = lab.coordinators[0]
    coordinator.call("FacetService.CreateCollection", {"CollectionId": COLLECTION, "Shards": 1})
    for begin in range(0, faces, BATCH):
        names = [f"f{number}" for number in range(begin, begin + BATCH)]
        coordinator.index_vectors(COLLECTION, unit_vectors(BATCH, seed=begin + 1), names)


def fetched(lab: Lab, node: str) -> tuple[int, float, float]:
    """Bytes; the seconds from the beginning of the fetch until all of it is there, and until the copy is in sync."""
    log, folder = lab.node(node).log_path, lab.folder / node / "shards"
    shard = lab.shards(COLLECTION)[0]
    old = next(copy["Node"] for copy in shard["Copies"] if copy["Role"] == "in-sync")
    moments: list[float] = []

    def watch() -> None:
        steps = (
            lambda: "a copy of a shard is fetched" in log.read_text(),
            lambda: not (folder / f"{shard['Shard']}.fetched").exists(),
            lambda: {"Node": node, "Role": "in-sync"}.items() <= _copy(lab, node).items(),
        )
        for step in steps:
            while not step():
                time.sleep(0.01)
            moments.append(time.monotonic())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    done = facectl(
        "shard", "move", shard["Shard"], "--from", old, "--to", node,
        environment=lab.coordinators[0].environment, timeout=900,
    )
    assert done.returncode == 0, done.stderr
    watcher.join(timeout=60)
    match = re.search(r"bytes=(\d+).*a copy of a shard is fetched", log.read_text())
    assert match and len(moments) == 3, "the copy was not made from files: too few faces"
    return int(match[1]), moments[1] - moments[0], moments[2] - moments[0]


def _copy(lab: Lab, node: str) -> dict[str, str]:
    copies = lab.shards(COLLECTION)[0]["Copies"]
    return next((copy for copy in copies if copy["Node"] == node), {})


def floor(folder: Path, count: int) -> float:
    """Seconds for so many bytes through a loopback connection onto the disk."""
    listener = socket.create_server(("127.0.0.1", 0))

    def send() -> None:
        with listener.accept()[0] as stream:
            for _ in range(0, count, CHUNK):
                stream.sendall(bytes(CHUNK))

    sender = threading.Thread(target=send)
    began = time.monotonic()
    sender.start()
    with socket.create_connection(listener.getsockname()) as stream, open(folder / "floor", "wb") as file:
        while part := stream.recv(CHUNK):
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.monotonic() - began
    sender.join()
    listener.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=500_000)
    faces = parser.parse_args().faces
    print(machine())
    with tempfile.TemporaryDirectory(prefix="moves-cost-", dir=ROOT / ".build") as scratch:
        lab = Lab(Path(scratch) / "lab", coordinators=1, members=1, copies=3)
        try:
            lab.start()
            fill(lab, faces)
            free = next(node.label for node in lab.nodes if node.label not in
                        {copy["Node"] for copy in lab.shards(COLLECTION)[0]["Copies"]})
            bodies: list[dict[str, object]] = [
                {"CollectionId": COLLECTION, "Vector": encode(vector), "CosineThreshold": 0.36}
                for vector in unit_vectors(20 * SEARCHES, seed=5)
            ]
            search = Client(lab.coordinators[0], "FacetService.SearchByVector", bodies)
            timed(search.call, 20)
            idle = timed(search.call, SEARCHES)
            moved: list[tuple[int, float, float]] = []
            mover = threading.Thread(target=lambda: moved.append(fetched(lab, free)))
            mover.start()
            busy: list[float] = []
            while mover.is_alive() and len(busy) < 19 * SEARCHES:
                begin = len(busy) + SEARCHES
                busy += timed(lambda index, begin=begin: search.call(index + begin), 10)
            mover.join()
        finally:
            lab.kill()
        [(count, there, in_sync)] = moved
        least = floor(Path(scratch), count)
    share = least / there
    print(f"{faces:,} faces, {count / 1e6:.0f} MB: fetched in {there:.1f} s, in sync after {in_sync:.1f} s")
    print(
        f"fetched at {count / there / 1e6:.0f} MB/s, {share:.2f} of the floor's {count / least / 1e6:.0f} "
        f"(bar {FLOOR_MIN:g})"
    )
    print(f"{'searches, ms':40}{'p50':>9}{'p99':>9}")
    for title, times in (("idle", idle), (f"while the copy is made ({len(busy)})", busy)):
        print(f"{title:40}{percentile(times, 50):9.2f}{percentile(times, 99):9.2f}")
    ratio = percentile(busy, 99) / percentile(idle, 99)
    print(f"{'  ratio of p99':40}{'':9}{ratio:9.2f}   (bar {SEARCH_MAX:g})")
    sys.exit(0 if share >= FLOOR_MIN and ratio <= SEARCH_MAX else 1)


if __name__ == "__main__":
    main()
