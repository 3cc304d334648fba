"""Real cuts between the processes of a cluster, each of which has a network namespace of its own: packets that are lost
without a word, and cables that are pulled out. Clients, who reach the coordinators throughout, see no error, and when
the network is whole so is the cluster, and nothing is lost."""

import os
import random
import time
from collections.abc import Callable

from aftermath import Aftermath, judge
from chaos_clients import Clients, Faces, Record, Session
from namespaces import SwitchedLab, require_namespaces

COLLECTION = "partitions"
# What happens to the node that decides for the collection's shard. Another takes over, but from one that only etcd does
# not hear: as long as all copies are there it needs no etcd.
FROM_ETCD = "from etcd"
CUTS = ("from everybody", FROM_ETCD, "silent", "deaf", "from other nodes", "unplugged")
FROM_ETCD_SECONDS = 5
# `make soak` says how many of each; else the first three happen once.
ROUNDS = int(os.environ.get("FACET_PARTITIONS", "0"))
SEED = int(os.environ.get("FACET_PARTITION_SEED", "1"))
WHOLE_SECONDS = 60
# How many writes must be answered after another took over, and when all is whole.
ENOUGH = 20


def cut(lab: SwitchedLab, kind: str, node: str) -> None:
    everybody = {process.label for process in lab.processes} - {node}
    match kind:
        case "unplugged":
            lab.switch.unplug(node)
        case "deaf":
            lab.switch.drop(everybody, {node})
        case "silent":
            lab.switch.drop({node}, everybody)
        case "from everybody":
            lab.switch.cut({node}, everybody)
        case "from other nodes":
            lab.switch.cut({node}, {other.label for other in lab.nodes} - {node})
        case _:
            lab.switch.cut({node}, {member.label for member in lab.etcd})


def test_cuts(make_lab: Callable[..., SwitchedLab]) -> None:
    require_namespaces()
    lab = make_lab(SwitchedLab, members=3, copies=3, ledgers=3)
    lab.coordinators[0].call("FacetService.CreateCollection", {"CollectionId": COLLECTION, "Shards": 1})
    faces, record = Faces([COLLECTION], SEED), Record()
    kinds = random.Random(SEED).sample(CUTS * ROUNDS or CUTS[:3], len(CUTS) * ROUNDS or 3)
    for number, kind in enumerate(kinds):
        with Clients(list(lab.coordinators), faces, record, [], SEED + number):
            go_through(lab, kind, record)
    aftermath = Aftermath(lab, faces, record, Session(faces, record, SEED))
    judgement = judge(record.operations, aftermath.read_everything())
    print(f"{len(kinds)} cuts: {len(record.operations)} operations on {len(faces.all())} faces")
    assert judgement.problems() + record.surprises == []
    assert not record.errors and aftermath.off_record() == []


def go_through(lab: SwitchedLab, kind: str, record: Record) -> None:
    writes = record.writes[COLLECTION]

    def wait_until(what: str, condition: Callable[[], bool]) -> None:
        lab.coordinators[0].wait_until(f"{what}, {node} {kind}, {record.errors}", condition, WHOLE_SECONDS)

    def wait_for_writes() -> None:
        goal = len(writes) + ENOUGH
        wait_until("written to", lambda: len(writes) >= goal)

    node = lab.shards(COLLECTION)[0]["Node"]
    began = time.monotonic()
    cut(lab, kind, node)
    if kind == FROM_ETCD:
        said = len(lab.node(node).log)
        while time.monotonic() < began + FROM_ETCD_SECONDS:
            wait_for_writes()
        assert lab.shards(COLLECTION)[0]["Node"] == node and "etcd endpoint failed" in lab.node(node).log[said:]
    else:
        wait_until("taken over", lambda: lab.shards(COLLECTION)[0]["Node"] != node)
        wait_for_writes()
    ended = time.monotonic()
    lab.switch.heal()
    wait_until("whole", lambda: lab.complete() and lab.shards(COLLECTION)[0]["CopiesInSync"] == 3)
    wait_for_writes()
    print(f"{node} {kind}: for {ended - began:.1f} s, whole {time.monotonic() - ended:.1f} s later")
