"""A cluster goes through faults while clients use it; what they were told is then held against what is there.

Each acknowledged face must be found, no deleted one may return, every answered search must be on record, and what
clients saw of each face must be linearizable (linearize.py). Single-shard collections with a writer each show for how
long a shard takes no writes after a kill."""

import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from aftermath import Aftermath, Judgement, judge
from chaos_clients import Clients, Faces, Record, Session
from chaos_faults import KINDS, Fault, Injector, Outage, WiredLab, schedule
from harness import unit_vectors
from linearize import save
from namespaces import SwitchedLab

WIDE = "chaos-wide"
STEADY = [f"chaos-{number}" for number in range(1, 5)]
# Faces that nobody asks for, so that each steady shard has a segment that may rot, more than a copy holds in memory alone, and
# may be split.
CROWD = 4_200
# After the last fault everything must be as if there had been none within this.
HEALED_SECONDS = 90
# A fault that ended less than this before a kill may still show in the write gap after it.
RECOVERY_SECONDS = 1.5


@dataclass
class Report:
    seed: int
    seconds: float
    record: Record
    injector: Injector
    judgement: Judgement
    off_record: list[str]
    healed_after: float
    faces: int
    # Of the steady collections, at the end.
    shards: int
    gaps: list[float] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Empty when every promise was kept."""
        found = [f"not on record: search {search}" for search in self.off_record]
        return self.judgement.problems() + found + self.record.surprises + self.injector.crashes

    def __str__(self) -> str:
        history, judgement = self.record.operations, self.judgement
        kinds = Counter(operation.kind for operation in history)
        unknown = sum(not operation.known for operation in history)
        faults = Counter(outage.fault.kind for outage in self.injector.outages)
        lines = [
            f"chaos of seed {self.seed}, {self.seconds:.0f} s",
            f"  {len(self.injector.outages)} faults: {spelled(faults)}; {self.injector.rotten} bytes of segments rotten, "
            f"{len(STEADY)} shards split into {self.shards}",
            f"  {len(history)} operations on {self.faces} faces: {spelled(kinds)}; {unknown} without an outcome",
            f"  {len(judgement.lost)} lost, {len(judgement.returned)} returned, "
            f"{len(judgement.violations)} faces not linearizable",
            f"  {len(self.record.searches)} searches answered, {len(self.off_record)} not on record",
            f"  errors: {spelled(self.record.errors)}; slowest answer {self.record.slowest:.1f} s",
            f"  writable and complete {self.healed_after:.1f} s after the last fault",
            f"  ended by themselves and started again: {spelled(self.injector.ended)}",
            f"  {described(self.gaps)}",
        ]
        return "\n".join(lines)


def spelled(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"


def described(gaps: list[float]) -> str:
    if not gaps:
        return "no kill of a node was alone, so no write gap is known"
    ordered = sorted(gaps)
    high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"write gap after each of {len(gaps)} kills: p50 {statistics.median(ordered):.2f} s, p99 {high:.2f} s"


def write_gaps(outages: list[Outage], writes: dict[str, list[float]], until: float) -> list[float]:
    """For each kill of a node: the longest time that a shard took no writes, from the kill on. A pause counts to the
    kill that it began after, also where it ends much later. A kill does not count while another fault may matter."""
    gaps: list[float] = []
    for outage in outages:
        if outage.fault.kind != "kill node":
            continue
        gap = max(_gap(sorted(times), outage, until) for times in writes.values())
        others = (other for other in outages if other is not outage)
        if not any(
            other.began < outage.began + gap and other.ended + RECOVERY_SECONDS > outage.began for other in others
        ):
            gaps.append(gap)
    return gaps


def _gap(times: list[float], outage: Outage, until: float) -> float:
    longest, last = 0.0, outage.began
    for time_ in [*(time_ for time_ in times if time_ > outage.began), until]:
        if last > outage.ended:
            break
        longest, last = max(longest, time_ - last), time_
    return longest


class Chaos:
    """One run on a lab that has been started."""

    def __init__(
        self, lab: WiredLab | SwitchedLab, seed: int, seconds: float, kinds: frozenset[str] = frozenset(KINDS)
    ) -> None:
        self.lab, self.seed, self.seconds = lab, seed, seconds
        groups = {
            "nodes": [node.label for node in lab.nodes],
            "coordinators": [coordinator.label for coordinator in lab.coordinators],
            "etcd": [member.label for member in lab.etcd],
        }
        self.faults: list[Fault] = schedule(seed, seconds, groups, kinds)
        self.injector = Injector(lab, self.faults, divided=STEADY)
        self.record = Record()
        self.faces = Faces([WIDE, *STEADY], seed)

    def run(self) -> Report:
        for name in (WIDE, *STEADY):
            body = {"CollectionId": name, "Shards": 4 if name == WIDE else 1}
            self.lab.coordinators[0].call("FacetService.CreateCollection", body)
        if any(fault.kind in ("rot", "split") for fault in self.faults):
            for number, name in enumerate(STEADY):
                self._crowd(name, number)
        with Clients(list(self.lab.coordinators), self.faces, self.record, STEADY, self.seed):
            self.injector.run(threading.Event())
            self.injector.heal()
            ended = time.monotonic()
            self._wait("complete", self.lab.complete)
        session = Session(self.faces, self.record, self.seed)
        for name in (WIDE, *STEADY):
            for coordinator in self.lab.coordinators:
                self._wait(f"writable: {name}", lambda: session.enrol(coordinator, name))
        healed = time.monotonic()
        aftermath = Aftermath(self.lab, self.faces, self.record, session)
        judgement = judge(self.record.operations, aftermath.read_everything())
        save(self.record.operations, self.lab.folder / "history.jsonl")
        steady = {name: self.record.writes[name] for name in STEADY}
        return Report(
            self.seed, self.seconds, self.record, self.injector, judgement, aftermath.off_record(), healed - ended,
            len(self.faces.all()), sum(len(self.lab.shards(name)) for name in STEADY),
            write_gaps(self.injector.outages, steady, healed),
        )

    def _crowd(self, collection: str, seed: int) -> None:
        vectors = unit_vectors(CROWD, seed=10_000 + seed)
        for start in range(0, CROWD, CROWD // 7):
            names = [f"crowd-{index}" for index in range(start, start + CROWD // 7)]
            self.lab.coordinators[0].index_vectors(collection, vectors[start : start + CROWD // 7], names)

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + HEALED_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not {what} {HEALED_SECONDS} s after the last fault"
            self.injector.supervise()
            time.sleep(0.05)
