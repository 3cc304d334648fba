"""`make loadtest-copies`: what three copies of a shard cost an enrolment and a search, beside one copy in the same run.

Two clusters of three nodes on this machine, one after the other; one shard, one face and one search at a time over one
connection. Three copies here share two cores and one disk, which a cluster's do not.
"""

import argparse
import http.client
import json
import os
import sys
import tempfile
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests/ProcessTests"))

from cluster import Coordinator, Lab  # noqa: E402
from harness import encode, sign, unit_vectors  # noqa: E402
from path_cost import machine, percentile, timed, timed_fdatasync  # noqa: E402

COLLECTION = "copies-cost"
# Enrolment at three copies beside one: the bars of p50 and p99.
ENROL_MAX = (3.0, 5.0)
WARM = 20


class Client:
    """One connection, requests signed beforehand."""

    def __init__(self, server: Coordinator, operation: str, bodies: list[dict[str, object]]) -> None:
        self.connection = http.client.HTTPConnection(server.endpoint.removeprefix("http://"), timeout=60)
        self.requests = []
        for body in bodies:
            data = json.dumps(body).encode()
            assert server.key
            self.requests.append((data, sign(server.endpoint, operation, data, server.key, {})))

    def call(self, index: int) -> None:
        data, headers = self.requests[index]
        self.connection.request("POST", "/", data, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text


def measure(folder: Path, copies: int, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each enrolment and of each search."""
    lab = Lab(folder / f"lab-{copies}", nodes=3, coordinators=1, members=1, copies=copies)
    try:
        lab.start()
        coordinator = lab.coordinators[0]
        coordinator.call("FacetService.CreateCollection", {"CollectionId": COLLECTION, "Shards": 1})
        vectors = [encode(vector) for vector in unit_vectors(count + WARM, seed=5)]
        enrol = Client(
            coordinator, "FacetService.IndexVectors",
            [
                {"CollectionId": COLLECTION, "Vectors": [{"ExternalImageId": f"v{number}", "Vector": vector}]}
                for number, vector in enumerate(vectors)
            ],
        )
        timed(enrol.call, WARM)
        enrolments = timed(lambda index: enrol.call(index + WARM), count)
        search = Client(
            coordinator, "FacetService.SearchByVector",
            [{"CollectionId": COLLECTION, "Vector": vector, "CosineThreshold": 0.36} for vector in vectors],
        )
        timed(search.call, WARM)
        return enrolments, timed(lambda index: search.call(index + WARM), count)
    finally:
        lab.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000)
    count = parser.parse_args().count
    print(machine())
    with tempfile.TemporaryDirectory(prefix="copies-cost-", dir=ROOT / ".build") as scratch:
        folder = Path(scratch)
        one, three = measure(folder, 1, count), measure(folder, 3, count)
        floor = timed_fdatasync(folder, 200)
    print(f"{'':40}{'p50':>9}{'p99':>9}   ms, {count} each")
    held = True
    for what, alone, copied in (("enrolment", one[0], three[0]), ("search", one[1], three[1])):
        for title, times in ((f"{what}, one copy", alone), (f"{what}, three copies", copied)):
            print(f"{title:40}{percentile(times, 50):9.2f}{percentile(times, 99):9.2f}")
        ratios = [percentile(copied, rank) / percentile(alone, rank) for rank in (50, 99)]
        limits = f"   (limits {ENROL_MAX[0]:g} and {ENROL_MAX[1]:g})" if what == "enrolment" else ""
        print(f"{'  ratio':40}{ratios[0]:9.2f}{ratios[1]:9.2f}{limits}")
        if limits:
            held = all(ratio <= limit for ratio, limit in zip(ratios, ENROL_MAX, strict=True))
    print(f"{'floor: one fdatasync':40}{percentile(floor, 50):9.2f}{percentile(floor, 99):9.2f}")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
