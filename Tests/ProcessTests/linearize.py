"""Whether what clients saw of each face could have been seen of one copy of it, used by one client at a time.

A face is what enrolment takes: a vector under a name. Enrolling it gives it an id, or the id it has already; deleting
the id takes the face away for ever, and the next enrolment gives it another id. An operation takes effect at one moment
between its call and its return. One whose outcome the client never learnt "returns at infinity": it took effect at some
moment after its call, or never.

The search is Wing and Gong's, with Lowe's memory of the states that led nowhere. Faces are checked one by one, which is
enough: linearizability is local. Two observations keep it small. An operation that fits the state and does not change
it can be placed at once, since it would be in nobody's way later. Operations without an outcome matter only where they
change the state, and of those that are alike the first called goes first."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

NEVER = math.inf


class Kind(StrEnum):
    # Its result is the id that the face has now.
    ENROL = "enrol"
    # Of an id; its result is whether there was such a face to delete.
    DELETE = "delete"
    # Of an id; its result is whether it is there.
    READ = "read"
    # A search: its result is the id that the face has now, or None.
    LOOK = "look"


@dataclass(frozen=True, slots=True)
class Operation:
    """`face` is its name. Calls that carry one `token` are one operation, however often it was sent."""

    face: str
    kind: Kind
    id: str | None
    called: float
    returned: float = NEVER
    result: str | bool | None = None
    token: str | None = None

    @property
    def known(self) -> bool:
        """Whether the client learnt the outcome."""
        return self.returned < NEVER

    @property
    def changes(self) -> bool:
        return self.kind in (Kind.ENROL, Kind.DELETE)

    def unknown(self) -> "Operation":
        """The same, had its answer been lost."""
        return replace(self, returned=NEVER, result=None)


class State(NamedTuple):
    """The id that the face has, and those that it had and lost."""

    now: str | None
    gone: frozenset[str]


EMPTY = State(None, frozenset())


@dataclass(frozen=True)
class Violation:
    """Operations on one face that no order explains. Without one of the known ones, or with its outcome open, they
    would fit; the outcomes of the others may be whatever one likes."""

    face: str
    operations: list[Operation]
    why: str = "no order of these explains them"

    def __str__(self) -> str:
        zero = min(operation.called for operation in self.operations)
        lines = [f"{self.face}: {self.why}"]
        for operation in self.operations:
            if operation.known:
                asked = f"{operation.kind} {operation.id or ''}".strip()
                times = f"{operation.called - zero:.6f}, {operation.returned - zero:.6f}"
                lines.append(f"  [{times}] {asked} -> {operation.result}")
        others = Counter(operation.kind for operation in self.operations if not operation.known)
        if others:
            spelled = ", ".join(f"{count} {kind}" for kind, count in others.items())
            lines.append(f"  and whatever the outcome of {spelled} that began before")
        return "\n".join(lines)


def check(history: Iterable[Operation]) -> Violation | None:
    """Of the first face that has one."""
    return next(violations(history), None)


def violations(history: Iterable[Operation]) -> Iterator[Violation]:
    faces: dict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        faces[operation.face].append(operation)
    for face, operations in faces.items():
        whole = sorted(merged(operations), key=lambda operation: operation.called)
        if differing := answered_twice(operations):
            yield Violation(face, differing, "one token was answered in two ways")
        elif not Search(whole).succeeds():
            yield Violation(face, smallest(whole))


def answered_twice(operations: list[Operation]) -> list[Operation]:
    """Attempts of the first token whose answers differ."""
    first: dict[str, Operation] = {}
    for operation in operations:
        if operation.token is not None and operation.known:
            other = first.setdefault(operation.token, operation)
            if other.result != operation.result:
                return [other, operation]
    return []


def merged(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Attempts of one token as one operation, from the first call to the first return."""
    attempts: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.token is None:
            yield operation
        else:
            attempts[operation.token].append(operation)
    for group in attempts.values():
        first = min(group, key=lambda attempt: attempt.returned)
        yield replace(first, called=min(attempt.called for attempt in group))


def smallest(operations: list[Operation]) -> list[Operation]:
    """What is left when every reading that can be is left out and every outcome that can be is left open: each makes
    the history easier to explain, so what cannot be explained then could not be before."""
    left = list(operations)
    position = len(left)
    while position:
        position -= 1
        operation = left[position]
        if not operation.known:
            continue
        weaker = left[:position] + ([operation.unknown()] if operation.changes else []) + left[position + 1 :]
        if not Search(weaker).succeeds():
            left = weaker
    last = max(operation.returned for operation in left if operation.known)
    return [operation for operation in left if operation.called <= last]


class Search:
    """For an order of one face's operations, which come in the order of their calls."""

    def __init__(self, operations: list[Operation]) -> None:
        self.known = [operation for operation in operations if operation.known]
        # Calls of the operations without an outcome that could change something, alike ones together.
        self.open: dict[tuple[Kind, str | None], list[float]] = defaultdict(list)
        for operation in operations:
            if not operation.known and operation.changes:
                self.open[operation.kind, operation.id].append(operation.called)
        self.groups = list(self.open)
        named = {operation.id for operation in operations} | {operation.result for operation in self.known}
        # An enrolment without an outcome gave one of these; an id that nobody ever saw would explain nothing.
        self.ids = sorted(name for name in named if isinstance(name, str))

    def succeeds(self) -> bool:
        start = self._settle(_Place(0, 0, (0,) * len(self.groups), EMPTY))
        seen = {start}
        stack = [start]
        while stack:
            place = stack.pop()
            if place.low == len(self.known):
                return True
            for following in map(self._settle, self._next(place)):
                if following not in seen:
                    seen.add(following)
                    stack.append(following)
        return False

    def _next(self, place: "_Place") -> Iterator["_Place"]:
        """Every state that one more operation leads to."""
        candidates, bound = self._candidates(place)
        for number, key in enumerate(self.groups):
            calls, used = self.open[key], place.used[number]
            if used < len(calls) and calls[used] <= bound:
                counts = (*place.used[:number], used + 1, *place.used[number + 1 :])
                for state in self._open_steps(place.state, *key):
                    yield _Place(place.low, place.mask, counts, state)
        for index in candidates:
            state = step(place.state, self.known[index])
            if state is not None:
                yield self._placed(place, index, state)

    def _settle(self, place: "_Place") -> "_Place":
        """With every operation placed that fits the state and leaves it as it is."""
        while True:
            candidates, _ = self._candidates(place)
            fitting = [index for index in candidates if step(place.state, self.known[index]) == place.state]
            if not fitting:
                return place
            for index in fitting:
                place = self._placed(place, index, place.state)

    def _candidates(self, place: "_Place") -> tuple[list[int], float]:
        """Operations not placed yet that began before any of these ended, and when the first of these ended."""
        bound = NEVER
        found: list[int] = []
        for index in range(place.low, len(self.known)):
            operation = self.known[index]
            if operation.called > bound:
                break
            if not place.mask >> (index - place.low) & 1:
                found.append(index)
                bound = min(bound, operation.returned)
        return [index for index in found if self.known[index].called <= bound], bound

    def _open_steps(self, state: State, kind: Kind, id: str | None) -> list[State]:
        """Where an operation without an outcome may lead, other than nowhere."""
        if kind == Kind.DELETE:
            return [State(None, state.gone | {id})] if id is not None and state.now == id else []
        return [State(name, state.gone) for name in self.ids if name not in state.gone] if state.now is None else []

    def _placed(self, place: "_Place", index: int, state: State) -> "_Place":
        low, mask = place.low, place.mask | 1 << (index - place.low)
        while mask & 1:
            low, mask = low + 1, mask >> 1
        return _Place(low, mask, place.used, state)


class _Place(NamedTuple):
    """How far a search has come: all known operations before `low` are placed and those beyond it whose bits are set,
    and of each group without an outcome so many."""

    low: int
    mask: int
    used: tuple[int, ...]
    state: State


def step(state: State, operation: Operation) -> State | None:
    """The state after an operation with its outcome, or None where it cannot have had that one."""
    id, result = operation.id, operation.result
    match operation.kind:
        case Kind.ENROL if state.now is None:
            return State(str(result), state.gone) if result is not None and result not in state.gone else None
        case Kind.ENROL | Kind.LOOK:
            return state if result == state.now else None
        case Kind.DELETE if id is not None and state.now == id:
            return State(None, state.gone | {id}) if result is True else None
        case Kind.DELETE:
            return state if result is False else None
        case Kind.READ:
            return state if result is (state.now == id) else None


def save(history: Iterable[Operation], path: Path) -> None:
    """One operation a line."""
    with path.open("w") as file:
        for operation in history:
            file.write(json.dumps({**asdict(operation), "returned": operation.returned if operation.known else None}))
            file.write("\n")


def load(path: Path) -> list[Operation]:
    found: list[Operation] = []
    for line in path.read_text().splitlines():
        fields = json.loads(line)
        returned = NEVER if fields["returned"] is None else fields["returned"]
        found.append(Operation(**{**fields, "kind": Kind(fields["kind"]), "returned": returned}))
    return found
