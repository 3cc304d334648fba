"""A cluster under faults keeps its promises, and the judge of that notices when one is broken."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from aftermath import judge
from chaos import Chaos, write_gaps
from chaos_faults import KINDS, OF_PROXIES, Fault, Outage, WiredLab, schedule
from histories import good_history
from linearize import Kind, Operation, load, save
from namespaces import SwitchedLab, require_namespaces

MINUTES = float(os.environ.get("FACET_CHAOS_MINUTES", "0"))
SEED = int(os.environ.get("FACET_CHAOS_SEED", "1"))
ONLY = frozenset(filter(None, os.environ.get("FACET_CHAOS_KINDS", "").split(",")))
COPIES = int(os.environ.get("FACET_CHAOS_COPIES", "3"))
# Cuts in namespaces instead of proxies; nodes that lose what they have not synced when they are killed.
IN_NAMESPACES = bool(os.environ.get("FACET_CHAOS_NAMESPACES"))
UNSYNCED = bool(os.environ.get("FACET_CHAOS_UNSYNCED"))
DEADLINE = 5
GROUPS = {
    "nodes": ["node-1", "node-2", "node-3", "node-4"],
    "coordinators": ["coordinator-1", "coordinator-2"],
    "etcd": ["etcd-1", "etcd-2", "etcd-3"],
}


@pytest.mark.skipif(not MINUTES, reason="FACET_CHAOS_MINUTES says for how long")
def test_every_promise_is_kept(
    make_lab: Callable[..., WiredLab | SwitchedLab], unsynced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if IN_NAMESPACES:
        require_namespaces()
    lab = make_lab(
        SwitchedLab if IN_NAMESPACES else WiredLab, members=3, deadline=DEADLINE, copies=COPIES, ledgers=COPIES,
        unsynced=unsynced if UNSYNCED else None, seed=SEED, scrub_after=2,
    )
    kinds = frozenset(KINDS) - OF_PROXIES if IN_NAMESPACES else frozenset(KINDS)
    # A lone copy has nobody to be repaired from.
    kinds = kinds - {"rot"} if COPIES == 1 else kinds
    chaos = Chaos(lab, SEED, MINUTES * 60, kinds & ONLY or kinds)
    report = chaos.run()
    with capsys.disabled():
        print(f"\n{report}")
    problems = report.problems()
    assert not problems, f"{len(problems)} problems; history in {lab.folder}:\n" + "\n".join(problems[:20])
    assert report.injector.outages and len(report.record.operations) > 100


def recorded(tmp_path: Path) -> tuple[list[Operation], dict[str, set[str]]]:
    """A history of many faces as a run leaves it in a file, and what is there at its end."""
    history = [
        operation for seed in range(40) for operation in good_history(seed, lossy=0.05, name=f"face-{seed}")
    ]
    save(history, tmp_path / "history.jsonl")
    history = load(tmp_path / "history.jsonl")
    present: dict[str, set[str]] = {}
    for seed in range(40):
        last = [operation for operation in history if operation.face == f"face-{seed}" and operation.kind == Kind.ENROL]
        ids = {str(operation.result) for operation in last if operation.known}
        gone = {operation.id for operation in history if operation.kind == Kind.DELETE}
        present[f"face-{seed}"] = ids - gone
    return history, present


def test_a_run_without_a_fault_is_judged_good(tmp_path: Path) -> None:
    history, present = recorded(tmp_path)
    found = judge(history, present)
    assert (found.lost, found.returned, found.violations) == ([], [], [])
    assert sum(map(len, present.values())) > 10


def test_one_lost_write_among_many_is_noticed(tmp_path: Path) -> None:
    """Twice: its face is not there at the end, and no order of what was seen of it can be."""
    history, present = recorded(tmp_path)
    [face, ids] = random.Random(3).choice([(face, ids) for face, ids in present.items() if ids])
    [lost] = ids
    end = max(operation.called for operation in history) + 1000
    found = judge([*history, Operation(face, Kind.READ, lost, end, end + 1, False)], present | {face: set()})
    assert found.lost == [lost]
    assert [violation.face for violation in found.violations] == [face]
    assert f"read {lost} -> False" in str(found.violations[0])
    assert len([operation for operation in found.violations[0].operations if operation.known]) == 2


def test_one_deleted_face_that_returns_is_noticed(tmp_path: Path) -> None:
    history, present = recorded(tmp_path)
    deleted = next(operation for operation in history if operation.kind == Kind.DELETE and operation.result is True)
    assert deleted.id
    found = judge(history, present | {deleted.face: present[deleted.face] | {deleted.id}})
    assert found.returned == [deleted.id]


def test_a_schedule_is_its_seed() -> None:
    assert schedule(7, 600, GROUPS) == schedule(7, 600, GROUPS)
    assert schedule(7, 600, GROUPS) != schedule(8, 600, GROUPS)
    assert {fault.kind for fault in schedule(7, 3600, GROUPS)} == set(KINDS)
    assert {fault.kind for fault in schedule(7, 600, GROUPS, frozenset({"kill node"}))} == {"kill node"}
    assert len(schedule(7, 3600, GROUPS)) > 350


def test_no_process_has_two_faults_at_once_and_some_faults_overlap() -> None:
    overlaps = 0
    for seed in range(20):
        faults = schedule(seed, 300, GROUPS)
        for index, early in enumerate(faults):
            for late in faults[index + 1 :]:
                together = late.at <= early.at + early.seconds
                overlaps += together
                assert not (together and late.target == early.target), f"seed {seed}: {early}; {late}"
        assert all(fault.at + fault.seconds <= 300 for fault in faults)
    assert overlaps > 20


def test_the_write_gap_is_the_longest_of_any_shard_after_a_kill() -> None:
    def outage(kind: str, began: float, ended: float) -> Outage:
        return Outage(Fault(began, ended - began, kind, "node-1"), began, ended)

    steady = [number / 10 for number in range(1, 1000)]
    paused = [time for time in steady if not 10 < time < 13.05]
    writes = {"a": steady, "b": paused}
    assert write_gaps([outage("kill node", 10, 11)], writes, 100) == [pytest.approx(3.1)]
    assert write_gaps([outage("kill node", 40, 41)], writes, 100) == [pytest.approx(0.1, abs=0.001)]
    assert write_gaps([outage("kill node", 10, 11), outage("pause node", 12, 14)], writes, 100) == []
    assert write_gaps([outage("kill node", 10, 11), outage("pause node", 14, 16)], writes, 100) != []
    assert write_gaps([outage("kill node", 10, 11), outage("pause node", 7, 9)], writes, 100) == []
    never = {"a": steady, "b": [time for time in steady if time < 10]}
    assert write_gaps([outage("kill node", 10, 11)], never, 100) == [pytest.approx(90)]
