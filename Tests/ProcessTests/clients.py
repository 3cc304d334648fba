"""Clients of every coordinator that ask again and again while a test breaks something."""

import threading
import time
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from cluster import Coordinator, Lab
from harness import CallFailed


class Clients:
    """A thread a coordinator, for as long as a `with` block lasts. `ask` makes one request, given the coordinator, its
    number and how many it was asked before, and returns the id of what was answered."""

    def __init__(self, lab: Lab, ask: Callable[[Coordinator, int, int], str]) -> None:
        self.lab = lab
        self.ask = ask
        self.answered: list[str] = []
        self.errors: list[str] = []
        self.longest = 0.0
        self.ending = threading.Event()

    def __enter__(self) -> "Clients":
        self.threads = [
            threading.Thread(target=self._loop, args=(coordinator, number))
            for number, coordinator in enumerate(self.lab.coordinators)
        ]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def _loop(self, coordinator: Coordinator, number: int) -> None:
        index = 0
        while not self.ending.is_set():
            began = time.monotonic()
            try:
                self.answered.append(self.ask(coordinator, number, index))
                self.longest = max(self.longest, time.monotonic() - began)
            except (CallFailed, ClientError, BotoCoreError, OSError) as failure:
                self.errors.append(f"{type(failure).__name__}: {failure}")
            index += 1

    def wait_for(self, more: int) -> None:
        """Until so many more were answered."""
        goal, limit = len(self.answered) + more, time.monotonic() + 60
        while len(self.answered) < goal:
            assert time.monotonic() < limit, f"no {more} answers in a minute; errors: {self.errors[-3:]}"
            time.sleep(0.05)

    def require_no_error(self) -> None:
        assert not self.errors, f"{len(self.errors)} errors: {self.errors[:3]}"
