"""Faults of a cluster in an order that a seed decides, and what makes and mends each."""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster import Coordinator, Lab
from harness import CallFailed
from namespaces import SwitchedLab
from proxy import Link, Network, Way

# Of these statuses a process ends by a bug of its own: SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGSEGV.
CRASHES = {-4, -5, -6, -7, -11}
# At least so long between two starts of a process that ends by itself.
RELAUNCH_SECONDS = 1


class WiredLab(Lab):
    """A cluster in which all that one process says to another passes `network`, except between etcd's members."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.network = Network(self._running)
        for node in self.nodes:
            node.proxy = self.network.relay(node.label, node.port)
        self.relays = [self.network.relay(member.label, member.port) for member in self.etcd]

    def kill(self) -> None:
        super().kill()
        self.network.close()

    def drop(self, senders: set[str], receivers: set[str]) -> None:
        """What the one send to the others, from now on; where it passes the network."""
        flow(self.network, senders, receivers, lambda way: setattr(way, "cut", True))

    def mend(self, some: set[str], others: set[str]) -> None:
        both_ways(self.network, some, others, Way.heal)

    def heal(self) -> None:
        self.network.heal()

    def _running(self) -> dict[str, int]:
        started = ((process.label, process.process) for process in self.processes)
        return {label: process.pid for label, process in started if process}

    def _configuration(self) -> dict[str, Any]:
        configuration = super()._configuration()
        configuration["etcd"]["endpoints"] = [f"https://127.0.0.1:{relay.port}" for relay in self.relays]
        return configuration


@dataclass(frozen=True)
class Fault:
    """`at` and `seconds` after the start. `others` are the processes that `target` is cut off from, or slow to."""

    at: float
    seconds: float
    kind: str
    target: str
    others: tuple[str, ...] = ()
    # Seconds of delay, bytes in a second, or what a rotten place or a shard is chosen by.
    amount: float = 0

    def __str__(self) -> str:
        others = f" and {', '.join(self.others)}" if self.others else ""
        return f"{self.at:.2f} s, for {self.seconds:.2f} s: {self.kind} {self.target}{others}"


# How often each is drawn, of which group its target is, and how long it may last.
KINDS: dict[str, tuple[int, str, tuple[float, float]]] = {
    "kill node": (6, "nodes", (0.2, 4)),
    "pause node": (3, "nodes", (0.5, 10)),
    "kill coordinator": (2, "coordinators", (0.2, 3)),
    "kill etcd": (2, "etcd", (0.2, 4)),
    "cut off node": (2, "nodes", (0.5, 10)),
    "cut off etcd": (1, "etcd", (0.5, 10)),
    "cut from etcd": (2, "nodes", (0.5, 10)),
    "cut coordinator from etcd": (1, "coordinators", (0.5, 10)),
    "cut from a node": (2, "nodes", (0.5, 8)),
    "cut from a coordinator": (2, "nodes", (0.5, 8)),
    "deafen": (1, "nodes", (0.5, 8)),
    "silence": (1, "nodes", (0.5, 8)),
    "drop connections": (1, "nodes", (0, 0)),
    "rot": (2, "nodes", (0, 0)),
    "split": (2, "coordinators", (0, 0)),
    "slow": (1, "nodes", (1, 6)),
    "narrow": (1, "nodes", (1, 6)),
}
# A switch cannot do these.
OF_PROXIES = frozenset({"drop connections", "slow", "narrow"})


def schedule(
    seed: int, seconds: float, groups: dict[str, list[str]], kinds: frozenset[str] = frozenset(KINDS)
) -> list[Fault]:
    """Faults that are all mended within `seconds`, one after another or some at once, never two of one target."""
    generator = random.Random(seed)
    names = [name for name in KINDS if name in kinds]
    busy: dict[str, float] = {}
    faults: list[Fault] = []
    at = generator.uniform(1, 3)
    while True:
        [kind] = generator.choices(names, [KINDS[name][0] for name in names])
        _, group, bounds = KINDS[kind]
        target, lasts = generator.choice(groups[group]), generator.uniform(*bounds)
        if at + lasts > seconds:
            return faults
        if busy.get(target, 0) <= at:
            faults.append(_fault(generator, at, lasts, kind, target, groups))
            busy[target] = at + lasts + 0.5
        at += generator.uniform(0.2, 2) if generator.random() < 0.3 else lasts + generator.uniform(1.5, 6)


def _fault(
    generator: random.Random, at: float, lasts: float, kind: str, target: str, groups: dict[str, list[str]]
) -> Fault:
    nodes = [name for name in groups["nodes"] if name != target]
    everybody = (*nodes, *groups["coordinators"], *groups["etcd"])
    match kind:
        case "cut off node":
            return Fault(at, lasts, kind, target, everybody)
        case "cut off etcd":
            others = (*nodes, *groups["coordinators"], *(name for name in groups["etcd"] if name != target))
            return Fault(at, lasts, kind, target, others)
        case "cut from etcd" | "cut coordinator from etcd":
            return Fault(at, lasts, kind, target, tuple(groups["etcd"]))
        case "cut from a node":
            return Fault(at, lasts, kind, target, (generator.choice(nodes),))
        case "cut from a coordinator":
            return Fault(at, lasts, kind, target, (generator.choice(groups["coordinators"]),))
        case "deafen" | "silence" | "drop connections":
            return Fault(at, lasts, kind, target, (*nodes, *groups["coordinators"]))
        case "rot" | "split":
            return Fault(at, lasts, kind, target, (), generator.random())
        case "slow":
            return Fault(at, lasts, kind, target, everybody, generator.uniform(0.02, 0.4))
        case "narrow":
            return Fault(at, lasts, kind, target, everybody, generator.uniform(20_000, 200_000))
    return Fault(at, lasts, kind, target)


def flow(network: Network, senders: set[str], receivers: set[str], act: Callable[[Way], None]) -> None:
    """Does something to what goes from the one to the others, whoever called."""
    network.change(senders, receivers, lambda link: act(link.there))
    network.change(receivers, senders, lambda link: act(link.back))


def both_ways(network: Network, some: set[str], others: set[str], act: Callable[[Way], None]) -> None:
    flow(network, some, others, act)
    flow(network, others, some, act)


@dataclass
class Outage:
    """A fault that happened: when it began and when it was mended, by the clock that calls are timed with."""

    fault: Fault
    began: float
    ended: float = 0


@dataclass
class Injector:
    """Makes the faults of a schedule at their times, and starts again what ends by itself, as a supervisor would."""

    lab: WiredLab | SwitchedLab
    faults: list[Fault]
    outages: list[Outage] = field(default_factory=list)
    open: dict[str, Outage] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    relaunched: dict[str, float] = field(default_factory=dict)
    # Bytes of segments that were turned.
    rotten: int = 0
    # Collections whose shards are split.
    divided: list[str] = field(default_factory=list)

    def run(self, ending: threading.Event) -> None:
        """Returns when the last fault is mended, or sooner when `ending` is set; then `heal`."""
        start = time.monotonic()
        steps = [(fault.at, False, fault) for fault in self.faults]
        steps += [(fault.at + fault.seconds, True, fault) for fault in self.faults]
        for at, ends, fault in sorted(steps, key=lambda step: step[:2]):
            while (rest := start + at - time.monotonic()) > 0:
                if ending.wait(min(rest, 0.1)):
                    return
                self.supervise()
            if ends:
                self.mend(self.open.pop(fault.target))
            else:
                self.open[fault.target] = Outage(fault, time.monotonic())
                self.make(fault)

    def heal(self) -> None:
        for outage in list(self.open.values()):
            self.mend(outage)
        self.open.clear()
        self.lab.heal()
        self.supervise()

    def supervise(self) -> None:
        for process in self.lab.processes:
            killed = process.label in self.open and self.open[process.label].fault.kind.startswith("kill")
            if killed or (process.process is not None and process.process.poll() is None):
                continue
            if time.monotonic() < self.relaunched.get(process.label, 0) + RELAUNCH_SECONDS:
                continue
            self.relaunched[process.label] = time.monotonic()
            status = process.process.returncode if process.process else 0
            self.ended[process.label] += 1
            if status in CRASHES:
                self.crashes.append(f"{process.label} ended with {status}:\n{process.log[-2000:]}")
            process.process = None
            process.launch()

    def make(self, fault: Fault) -> None:
        lab, one, others = self.lab, {fault.target}, set(fault.others)
        match fault.kind.split()[0]:
            case "kill":
                lab.member(fault.target).kill()
            case "pause":
                lab.member(fault.target).pause()
            case "cut":
                lab.drop(one, others)
                lab.drop(others, one)
            case "deafen":
                lab.drop(others, one)
            case "silence":
                lab.drop(one, others)
            case "rot":
                self.rotten += rot(lab.folder / fault.target, fault.amount)
            case "split":
                coordinator = next(one for one in lab.coordinators if one.label == fault.target)
                # Where other faults are, an answer may take as long as a request may.
                threading.Thread(target=split, args=(coordinator, self.divided, fault.amount), daemon=True).start()
            case _ if isinstance(lab, WiredLab):
                trouble(lab.network, fault)

    def mend(self, outage: Outage) -> None:
        """A link between two targets is healed with the first of them."""
        fault = outage.fault
        match fault.kind.split()[0]:
            case "kill":
                self.lab.member(fault.target).launch()
            case "pause":
                self.lab.member(fault.target).resume()
            case "rot" | "split":
                pass
            case _:
                self.lab.mend({fault.target}, set(fault.others))
        outage.ended = time.monotonic()
        self.outages.append(outage)


def rot(data: Path, choice: float) -> int:
    """Turns one byte of one of a node's segments; how many were, since a merge may remove the file meanwhile."""
    generator = random.Random(choice)
    for path in generator.sample(found := sorted(data.glob("shards/*/segments/*.seg")), len(found)):
        try:
            with path.open("r+b") as file:
                place = generator.randrange(path.stat().st_size)
                file.seek(place)
                byte = file.read(1)[0]
                file.seek(place)
                file.write(bytes([byte ^ 0x41]))
            return 1
        except FileNotFoundError:
            continue
    return 0


def split(coordinator: Coordinator, collections: list[str], choice: float) -> None:
    """Asks for one shard to be replaced by two; the coordinators go on with it by themselves, or it is refused."""
    generator = random.Random(choice)
    try:
        status = coordinator.call("FacetService.GetStatus", {}).json
        found = [entry["Shards"] for entry in status["Collections"] if entry["CollectionId"] in collections]
        # The same shard until it is split: the more faces one has, the longer it takes.
        largest = max(generator.choice(found), key=lambda shard: (shard.get("Faces") or 0, shard["Shard"]))
        coordinator.call("FacetService.SplitShard", {"Shard": largest["Shard"]})
    except (CallFailed, OSError, http.client.HTTPException):
        return


def trouble(network: Network, fault: Fault) -> None:
    """Of proxies."""
    one, others = {fault.target}, set(fault.others)
    match fault.kind:
        case "drop connections":
            network.change(one, others, Link.drop)
            network.change(others, one, Link.drop)
        case "slow":
            both_ways(network, one, others, lambda way: setattr(way, "delay", fault.amount))
        case "narrow":
            both_ways(network, one, others, lambda way: setattr(way, "bytes_per_second", fault.amount))
