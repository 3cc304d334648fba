"""Any process may be restarted while clients go on asking, without retries: errors while it is down, none after."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from cluster import Coordinator, Lab, Member
from harness import CallFailed, unit_vectors

COLLECTION = "restart"
ROUNDS = int(os.environ.get("FACET_RESTARTS", "1"))
FACES = 120


@dataclass
class Call:
    what: str
    coordinator: str
    began: float
    ended: float
    error: str


@dataclass
class Load:
    """Clients of every coordinator, which search for what is there and enrol more of it, until they are told to end."""

    lab: Lab
    vectors: np.ndarray
    calls: list[Call] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        self.threads = [
            threading.Thread(target=self._loop, args=(kind, coordinator, number))
            for number, coordinator in enumerate(self.lab.coordinators)
            for kind in (self._search, self._enrol, self._list)
        ]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def _loop(
        self, step: Callable[[Coordinator, np.random.Generator], str], coordinator: Coordinator, seed: int
    ) -> None:
        generator = np.random.default_rng(seed)
        while not self.ending.is_set():
            began, error, what = time.monotonic(), "", step.__name__
            try:
                error = step(coordinator, generator)
                if error:
                    self.surprises.append(error)
            except (CallFailed, ClientError, BotoCoreError, OSError) as failure:
                error = f"{type(failure).__name__}: {failure}"
            self.calls.append(Call(what, coordinator.label, began, time.monotonic(), error))
            # A connection that is refused is refused at once; asking again as fast would be all this test does.
            if error:
                self.ending.wait(0.01)

    def _search(self, coordinator: Coordinator, generator: np.random.Generator) -> str:
        """Empty when the answer is right."""
        index = int(generator.integers(len(self.vectors)))
        matches = coordinator.search_vector(COLLECTION, self.vectors[index], limit=1, cosine=0.9).json["FaceMatches"]
        names = [match["Face"]["ExternalImageId"] for match in matches]
        return "" if names == [f"r{index}"] else f"searched r{index}, found {names}"

    def _enrol(self, coordinator: Coordinator, generator: np.random.Generator) -> str:
        index = int(generator.integers(len(self.vectors)))
        coordinator.index_vectors(COLLECTION, self.vectors[index][None], [f"r{index}"])
        return ""

    def _list(self, coordinator: Coordinator, generator: np.random.Generator) -> str:
        faces = coordinator.client().list_faces(CollectionId=COLLECTION, MaxResults=1000)["Faces"]
        return "" if len(faces) == FACES else f"{len(faces)} faces are listed of {FACES}"


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab(deadline=10)
    lab.coordinators[0].call("FacetService.CreateCollection", {"CollectionId": COLLECTION, "Shards": 4})
    lab.coordinators[0].index_vectors(COLLECTION, vectors(), [f"r{index}" for index in range(FACES)])
    return lab


def vectors() -> np.ndarray:
    return unit_vectors(FACES, seed=51)


def wait_calls(load: Load, count: int) -> None:
    """Until that many more calls have been answered."""
    goal = len(load.calls) + count
    while len(load.calls) < goal:
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["stop", "kill"])
@pytest.mark.parametrize("label", ["node-2", "node-1", "coordinator-1", "etcd-1"])
def test_errors_only_while_it_is_down(lab: Lab, label: str, kind: str) -> None:
    process: Member = next(process for process in lab.processes if process.label == label)
    for _ in range(ROUNDS):
        with Load(lab, vectors()) as load:
            wait_calls(load, 60)
            down = time.monotonic()
            getattr(process, kind)()
            wait_calls(load, 20)
            process.start()
            ready = time.monotonic()
            lab.wait_complete()
            complete = time.monotonic()
            wait_calls(load, 100)
        assert load.surprises == []
        before = [call for call in load.calls if call.ended < down]
        after = [call for call in load.calls if call.began > complete]
        assert len(before) > 30 and len(after) > 50
        assert [call for call in before if call.error] == []
        assert [call for call in after if call.error] == []
        late = sum(1 for call in load.calls if call.error and call.began > ready)
        errors = sum(1 for call in load.calls if call.error)
        print(
            f"\n{label} {kind}: down {ready - down:.2f} s, all complete {complete - ready:.2f} s later; "
            f"{len(load.calls)} calls, {errors} errors, {late} of them begun after it was ready"
        )
        if label == "etcd-1":
            assert errors == 0, "healthy shards answer without the control plane"
        if label == "coordinator-1":
            assert {call.coordinator for call in load.calls if call.error} <= {"coordinator-1"}
