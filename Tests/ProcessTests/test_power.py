"""A site loses power: every process of a cluster at once, and with the nodes what they had not synced. When it is back
every acknowledged face is there, every deleted one is gone, and every answered search is on record."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from aftermath import Aftermath, judge
from chaos_clients import Clients, Faces, Record, Session
from cluster import Lab
from harness import facectl

CUTS = int(os.environ.get("FACET_SITE_CUTS", "2"))
SEED = int(os.environ.get("FACET_SITE_SEED", "1"))
COLLECTIONS = {"power-wide": 3, "power-1": 1, "power-2": 1}
BETWEEN_CUTS_SECONDS = (0.5, 2.0)
BACK_SECONDS = 60


def wait_writable(lab: Lab, session: Session) -> None:
    """By every coordinator, in every collection."""
    deadline = time.monotonic() + BACK_SECONDS
    for coordinator in lab.coordinators:
        for name in COLLECTIONS:
            while not session.enrol(coordinator, name):
                assert time.monotonic() < deadline, f"{name} takes no writes: {session.record.errors}"
                time.sleep(0.05)


def test_a_site_loses_power(make_lab: Callable[..., Lab], unsynced: Path) -> None:
    lab = make_lab(nodes=3, deadline=5, copies=3, ledgers=3, unsynced=unsynced, seed=SEED)
    for name, shards in COLLECTIONS.items():
        lab.coordinators[0].call("FacetService.CreateCollection", {"CollectionId": name, "Shards": shards})
    generator = random.Random(SEED)
    faces, record = Faces(list(COLLECTIONS), SEED), Record()
    session = Session(faces, record, SEED)
    with Clients(list(lab.coordinators), faces, record, list(COLLECTIONS), SEED):
        for _ in range(CUTS):
            wait_writable(lab, session)
            time.sleep(generator.uniform(*BETWEEN_CUTS_SECONDS))
            lab.cut_power()
            lab.restore_power()
        wait_writable(lab, session)
    aftermath = Aftermath(lab, faces, record, session)
    judgement = judge(record.operations, aftermath.read_everything())
    disks = [node.disk for node in lab.nodes if node.disk]
    print(f"{CUTS} losses of power: {len(record.operations)} operations on {len(faces.all())} faces")
    lost, unsynced_changes = sum(disk.lost for disk in disks), sum(disk.unsynced for disk in disks)
    print(f"of {unsynced_changes} changes that were not synced {lost} were lost")
    assert judgement.problems() + record.surprises == []
    assert aftermath.off_record() == []
    assert all(disk.lost > CUTS for disk in disks) and len(record.operations) > 100 * CUTS
    lab.stop()
    for node in lab.nodes:
        verified = facectl("ledger", "verify", "--data", str(lab.folder / node.label))
        assert verified.returncode == 0, verified.stdout + verified.stderr
