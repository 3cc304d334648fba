"""Exhaustive search by Facet and by others: the same vectors, one run, one query at a time, one thread.

    make bench-peers ARGS='--faces 1000000 --dimension 512'

Facet's figures come from `engine-bench`, which makes the vectors and writes them; a peer's agreement is with exact
inner products in float (FAISS `IndexFlatIP`). Prints a table and writes it below loadtests/reports/.
"""

import argparse
import os
import pathlib
import subprocess
import tempfile
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import faiss  # noqa: E402
import numpy as np  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
K = 10


def load():
    return pathlib.Path("/proc/loadavg").read_text().split()[0]


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "processor unknown"


class Flat:
    name = "FAISS IndexFlatIP"

    def __init__(self, rows):
        self.index = faiss.IndexFlatIP(rows.shape[1])
        self.index.add(rows)

    def search(self, probe):
        return self.index.search(probe[None], K)[1][0]


class RaBitQ:
    name = "FAISS IVF1024,RaBitQ,Refine(SQ8), every list, 2,000 refined"
    lists = 1024
    training = 64 * lists

    def __init__(self, rows):
        faiss.omp_set_num_threads(os.cpu_count())
        text = f"IVF{self.lists},RaBitQ,Refine(SQ8)"
        self.index = faiss.index_factory(rows.shape[1], text, faiss.METRIC_INNER_PRODUCT)
        self.index.train(rows[:: max(1, len(rows) // self.training)])
        self.index.add(rows)
        faiss.omp_set_num_threads(1)
        inner = faiss.SearchParametersIVF(nprobe=self.lists)
        self.parameters = faiss.IndexRefineSearchParameters(k_factor=200, base_index_params=inner)

    def search(self, probe):
        return self.index.search(probe[None], K, params=self.parameters)[1][0]


class ScaNN:
    name = "ScaNN tree 1000, AH, reorder 200, every leaf"
    leaves = 1000

    def __init__(self, rows):
        import scann

        self.searcher = (
            scann.scann_ops_pybind.builder(rows, K, "dot_product")
            .tree(num_leaves=self.leaves, num_leaves_to_search=self.leaves, training_sample_size=100_000)
            .score_ah(2, anisotropic_quantization_threshold=0.2)
            .reorder(200)
            .set_n_training_threads(os.cpu_count())
            .build()
        )

    def search(self, probe):
        return self.searcher.search(probe)[0]


def measure(peer, rows, probes, truth):
    """Median of processor time, median and 99th percentile on the clock, in ns a face, and agreement with the truth."""
    peer.search(probes[0])
    wall, processor, first, common, equal = [], [], 0, 0, 0
    for number, probe in enumerate(probes):
        start, used = time.perf_counter_ns(), time.thread_time_ns()
        found = peer.search(probe)
        processor.append((time.thread_time_ns() - used) / len(rows))
        wall.append((time.perf_counter_ns() - start) / len(rows))
        if truth is not None:
            first += int(found[0] == truth[number][0])
            common += len(set(found[:K]) & set(truth[number]))
            equal += int(list(found[:K]) == list(truth[number]))
    count = len(probes)
    figures = [f"{np.median(processor):.1f}", f"{np.median(wall):.1f}", f"{np.percentile(wall, 99):.1f}"]
    if truth is None:
        return figures + ["1", "1", f"{count} of {count}", load()]
    return figures + [f"{first / count:.3f}", f"{common / count / K:.4f}", f"{equal} of {count}", load()]


def facet(arguments, folder):
    """Runs engine-bench, which writes the vectors; returns what it printed."""
    command = [
        arguments.bench, "--dimensions", str(arguments.dimension), "--faces", str(arguments.faces),
        "--probes", str(arguments.probes), "--timed", str(arguments.probes), "--write", folder,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--probes", type=int, default=100)
    parser.add_argument("--bench", default=str(ROOT / "Benchmarks/.build/release/engine-bench"))
    arguments = parser.parse_args()
    title = f"# Peers, {arguments.faces} faces of {arguments.dimension} dimensions"
    lines = [title, "", f"{processor()}; set hard; plain top {K}; load before {load()}", ""]
    with tempfile.TemporaryDirectory(dir=ROOT / "loadtests") as folder:
        lines += [facet(arguments, folder), ""]
        rows, probes = (
            np.fromfile(f"{folder}/{name}-{arguments.dimension}.f32", np.float32).reshape(-1, arguments.dimension)
            for name in ("rows", "probes")
        )
    print(lines[4], flush=True)
    lines += [
        "| | ns a face: CPU | wall | wall p99 | first agrees | of ten | list equal | load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    faiss.omp_set_num_threads(1)
    truth = None
    for kind in (Flat, RaBitQ, ScaNN):
        start = time.monotonic()
        peer = kind(rows)
        built = time.monotonic() - start
        lines.append(f"| {kind.name} | " + " | ".join(measure(peer, rows, probes, truth)) + " |")
        print(lines[-1], f"built in {built:.0f} s", flush=True)
        if truth is None:
            truth = [peer.search(probe) for probe in probes]
        del peer
    report = ROOT / "loadtests/reports" / f"peers-{arguments.dimension}.md"
    report.parent.mkdir(exist_ok=True)
    report.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
