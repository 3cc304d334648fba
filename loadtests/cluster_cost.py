"""`make loadtest-cluster`: what taking the path apart costs: a search over four shards in four processes.

Printed in one run on one machine: a client's whole search by vector, the slowest shard's part of it, what the ledger
adds, and the rest, which is the cluster's own (HTTP, signature, fan-out, four frames there and back over TLS, merge).
Beside it the same search in one process. Searches follow one another, so that each one's times can be read from the
metrics of the processes.
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

import numpy as np  # noqa: E402

from cluster import Coordinator, Lab, parse_metrics  # noqa: E402
from harness import Server, encode, sign, unit_vectors  # noqa: E402
from path_cost import machine, percentile, timed, timed_fdatasync  # noqa: E402

COLLECTION = "cluster-cost"
BATCH = 1000
OVERHEAD_MS_MAX = 1.0
SHARD = "facet_shard_search_seconds"
LEDGER = "facet_search_ledger_seconds"
REQUEST = 'facet_request_seconds_sum{operation="FacetService.SearchByVector"}'


class Client:
    """One connection, requests signed beforehand: as little of a client's own time as Python allows."""

    def __init__(self, server: Server | Coordinator, probes: np.ndarray) -> None:
        host = server.endpoint.removeprefix("http://")
        self.connection = http.client.HTTPConnection(host, timeout=60)
        self.requests = []
        for probe in probes:
            body = {"CollectionId": COLLECTION, "Vector": encode(probe), "MaxFaces": 10, "CosineThreshold": 0.36}
            data = json.dumps(body).encode()
            assert server.key
            headers = sign(server.endpoint, "FacetService.SearchByVector", data, server.key, {})
            self.requests.append((data, headers))

    def search(self, index: int) -> None:
        data, headers = self.requests[index]
        self.connection.request("POST", "/", data, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        assert b"FaceMatches" in text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=300)
    arguments = parser.parse_args()
    print(machine())
    vectors = unit_vectors(arguments.faces, seed=31)
    probes = unit_vectors(arguments.searches + 10, seed=32)
    with tempfile.TemporaryDirectory(prefix="cluster-cost-", dir=ROOT / ".build") as scratch:
        held = measure_cluster(Path(scratch), vectors, probes)
        measure_embedded(Path(scratch), vectors, probes)
    sys.exit(0 if held else 1)


def fill(server: Server | Coordinator, vectors: np.ndarray, shards: int) -> None:
    server.call("FacetService.CreateCollection", {"CollectionId": COLLECTION, "Shards": shards})
    for start in range(0, len(vectors), BATCH):
        batch = vectors[start : start + BATCH]
        server.index_vectors(COLLECTION, batch, [f"g{start + index}" for index in range(len(batch))])


def measure_cluster(folder: Path, vectors: np.ndarray, probes: np.ndarray) -> bool:
    lab = Lab(folder / "lab", nodes=4, coordinators=1, members=1)
    try:
        lab.start()
        coordinator = lab.coordinators[0]
        fill(coordinator, vectors, 4)
        held = [shard["Faces"] for shard in lab.shards(COLLECTION)]
        print(f"{len(vectors):,} faces of 128 dimensions in 4 shards: {', '.join(f'{count:,}' for count in held)}")
        client = Client(coordinator, probes)
        timed(client.search, 10)
        whole, served, slowest, ledger = [], [], [], []
        for index in range(10, len(probes)):
            before = readings(lab)
            whole += timed(lambda _, index=index: client.search(index), 1)
            after = readings(lab)
            served.append(after[REQUEST] - before[REQUEST])
            slowest.append(max(after[node.label] - before[node.label] for node in lab.nodes))
            ledger.append(after[LEDGER] - before[LEDGER])
        return report(whole, served, slowest, ledger, timed_fdatasync(folder, 200))
    finally:
        lab.kill()


def readings(lab: Lab) -> dict[str, float]:
    """Milliseconds spent so far, by metric of the coordinator and by node."""
    coordinator = lab.coordinators[0].metrics()
    found = {REQUEST: coordinator.get(REQUEST, 0) * 1000, LEDGER: coordinator.get(f"{LEDGER}_sum", 0) * 1000}
    for node in lab.nodes:
        found[node.label] = node.metrics().get(f"{SHARD}_sum", 0) * 1000
    return found


def report(
    whole: list[float], served: list[float], slowest: list[float], ledger: list[float], floor: list[float]
) -> bool:
    rest = [a - b - c for a, b, c in zip(whole, slowest, ledger, strict=True)]
    inside = [a - b - c for a, b, c in zip(served, slowest, ledger, strict=True)]
    print(f"{'':60}{'p50':>9}{'p99':>9}   ms")
    print_row("search over 4 shards, client's view", whole)
    print_row("  of it the slowest shard, by its own metric", slowest)
    print_row("  what the ledger adds after the scan, by its metric", ledger)
    print_row(f"  the cluster: the rest (limit of the p50: {OVERHEAD_MS_MAX:g})", rest)
    print_row("    of that inside the coordinator, by its metric", inside)
    print_row("  the cluster and the ledger", [a - b for a, b in zip(whole, slowest, strict=True)])
    print_row("floor of the ledger: one fdatasync", floor)
    return percentile(rest, 50) <= OVERHEAD_MS_MAX


def print_row(title: str, times: list[float]) -> None:
    print(f"{title:60}{percentile(times, 50):9.2f}{percentile(times, 99):9.2f}")


def measure_embedded(folder: Path, vectors: np.ndarray, probes: np.ndarray) -> None:
    server = Server(folder / "data")
    server.start()
    try:
        fill(server, vectors, 1)
        client = Client(server, probes)
        timed(client.search, 10)
        print_row("the same search in one process, client's view", timed(lambda i: client.search(i + 10), len(probes) - 10))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
