"""Facet and others on the same vectors, in one run, one query at a time, one thread: time, and who is found.

    make bench-peers ARGS='--set hard|soft|real --faces 1000000 --dimension 512 --probes 500 --peers flat,ivf,...'

`engine-bench` makes or takes in the vectors, rotates them, writes them for everyone, and answers for Facet. Every peer
runs in a process of its own, after the others: it builds its index on all cores, within --minutes, and answers on one.
Writes a table, a plot (PNG) and the plot with the table as one page (HTML) below loadtests/reports/.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import traceback

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

import report  # noqa: E402
from engines import K, PEERS  # noqa: E402
from faces import Faces, write_real  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
DISK_SLACK = 10 << 30


def load():
    return float(pathlib.Path("/proc/loadavg").read_text().split()[0])


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "processor unknown"


def keep_on_one_core():
    """Every thread of this process; one that starts later inherits it from the one that starts it."""
    core = max(os.sched_getaffinity(0))
    for task in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(task), {core})


def timed(search, probes):
    """Milliseconds a probe on the clock and of all this process's threads, and the rows found."""
    search(probes[0])
    wall, used, found = [], [], []
    for probe in probes:
        start, before = time.perf_counter_ns(), time.process_time_ns()
        rows = search(probe)
        used.append((time.process_time_ns() - before) / 1e6)
        wall.append((time.perf_counter_ns() - start) / 1e6)
        found.append([int(row) for row in rows])
    return wall, used, found


def run_peer(kind, files, dimension, folder, answers):
    """In a process of its own: builds, then measures every mode; hands each over as it comes."""
    try:
        faces = Faces(files, dimension)
        start = time.monotonic()
        peer = kind(faces.rows, folder)
        answers.send(("built", time.monotonic() - start))
        if getattr(kind, "has_threads", False):
            keep_on_one_core()
        for mode, search in peer.modes():
            answers.send(("mode", mode, timed(search, faces.probes), load()))
        answers.send(("bytes", peer.bytes() / len(faces.rows)))
    except ImportError as error:
        answers.send(("failed", f"does not install here: {error}"))
    except Exception as error:  # A peer may fail in any way; its row says how.
        traceback.print_exc()
        answers.send(("failed", f"{type(error).__name__}: {error}".splitlines()[0][:160]))


def measure(kind, files, arguments, scratch):
    """Rows of one peer: dictionaries as `report` takes them."""
    folder = tempfile.mkdtemp(dir=scratch)
    ours, theirs = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=run_peer, args=(kind, files, arguments.dimension, folder, theirs)
    )
    process.start()
    theirs.close()
    rows, built, failure = [], None, None
    patience = 60 * arguments.minutes
    try:
        while ours.poll(patience):
            what, *rest = ours.recv()
            if what == "built":
                built = rest[0]
            elif what == "mode":
                mode, (wall, used, found), after = rest
                rows.append(
                    {"family": kind.family, "mode": mode, "wall": wall, "used": used, "found": found, "load": after}
                )
            elif what == "bytes":
                for row in rows:
                    row["bytes"] = rest[0]
            else:
                failure = rest[0]
        else:
            failure = f"not built within {arguments.minutes:g} minutes" if built is None else "a search never ended"
    except EOFError:
        process.join()
        if process.exitcode:
            failure = failure or f"its process died: {process.exitcode}"
    if process.is_alive():
        process.kill()
    process.join()
    shutil.rmtree(folder)
    for row in rows:
        row["built"] = built
    if failure:
        rows.append({"family": kind.family, "mode": "", "failure": failure})
    return rows


def facet(arguments, folder):
    """Runs engine-bench: it writes the vectors and Facet's answers. Returns those and the text it printed."""
    command = [
        arguments.bench, "--only", "peers", "--dimensions", str(arguments.dimension), "--faces", str(arguments.faces),
        "--probes", str(arguments.probes), "--write", str(folder), "--directory", str(folder / "segments"),
    ]
    if arguments.set == "real":
        write_real(arguments.data, folder, arguments.dimension)
        command += ["--vectors", str(folder)]
    else:
        command += ["--set", arguments.set]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = []
    for answer in json.loads((folder / f"facet-{arguments.dimension}.json").read_text()):
        rows.append(
            {
                "family": answer["family"], "mode": answer["mode"], "wall": answer["milliseconds"],
                "used": answer["processorMilliseconds"], "found": answer["found"], "bytes": answer["bytesPerFace"],
                "built": answer["builtSeconds"], "load": load(), "whole": answer["limit"] == K,
            }
        )
    return rows, text


def judged(row, faces, truth):
    """Adds what the report says of a row, from times and what was found."""
    if "failure" in row:
        return row
    wall, found = row.pop("wall"), row.pop("found")
    row["p50"], row["p99"] = float(np.percentile(wall, 50)), float(np.percentile(wall, 99))
    row["cpu"] = float(np.percentile(row.pop("used"), 50))
    row["rank1"] = faces.rank_one(found)
    # A threshold answers another question than the first ten.
    if truth is not None and row.pop("whole", True):
        row["first"] = float(np.mean([list_[:1] == exact[:1] for list_, exact in zip(found, truth)]))
        row["ten"] = float(np.mean([len(set(list_[:K]) & set(exact)) / K for list_, exact in zip(found, truth)]))
    return row


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=("hard", "soft", "real"), default="hard")
    parser.add_argument("--faces", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, help="512; 128 for real faces")
    parser.add_argument("--probes", type=int, default=500)
    parser.add_argument("--peers", default=",".join(PEERS), help="of " + ", ".join(PEERS))
    parser.add_argument("--minutes", type=float, default=25, help="that a peer may take to build its index")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data/sface-lfw-a.npz")
    parser.add_argument("--bench", default=str(ROOT / "Benchmarks/.build/release/engine-bench"))
    arguments = parser.parse_args()
    arguments.dimension = arguments.dimension or (128 if arguments.set == "real" else 512)
    unknown = set(arguments.peers.split(",")) - set(PEERS)
    if unknown:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    return arguments


def main():
    arguments = options()
    place = ROOT / ".runtime/peers-data"
    place.mkdir(parents=True, exist_ok=True)
    # Raw vectors once, and a peer at a time that keeps them on disk again with an index.
    needed = 5 * 4 * arguments.dimension * arguments.faces + DISK_SLACK
    if shutil.disk_usage(place).free < needed:
        raise SystemExit(f"{place} has less than {needed >> 30} GiB free")
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        files = pathlib.Path(scratch) / "faces"
        files.mkdir()
        rows, text = facet(arguments, files)
        faces = Faces(files, arguments.dimension)
        print(text, flush=True)
        machine = f"{processor()}, {os.cpu_count()} cores"
        title = f"{len(faces.rows):,} x {arguments.dimension}, set {arguments.set}, {len(faces.probes)} probes"
        name = f"peers-{arguments.set}-{arguments.dimension}-{len(faces.rows) // 1000}k"
        truth, lines, shown = None, [], 0
        # The exact index first: it says what the first ten are.
        for kind in [PEERS[peer] for peer in PEERS if peer in arguments.peers.split(",")]:
            measured = measure(kind, str(files), arguments, scratch)
            if getattr(kind, "exact", False) and "found" in measured[0]:
                truth = [list_[:K] for list_ in measured[0]["found"]]
            lines += [judged(row, faces, truth) for row in rows + measured]
            rows = []
            for row in lines[shown:]:
                print(report.line(row), flush=True)
            shown = len(lines)
            # After each peer: what was measured stays if a later one takes the machine down.
            report.write(ROOT / "loadtests/reports", name, title, machine, text, lines)
        print("\n".join(report.verdicts(lines)), f"\nwritten: loadtests/reports/{name}.md, .png, .html", flush=True)


if __name__ == "__main__":
    main()
