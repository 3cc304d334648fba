"""Histories made up for the checker: by clients of a face that behaves, and then spoilt in ways that no order of
operations can explain."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from linearize import NEVER, Kind, Operation

# Shorter than any time between two events of a history.
MOMENT = 1e-9


@dataclass
class _Call:
    kind: Kind
    id: str | None
    called: float
    # When it takes effect; NEVER for one that is lost on its way.
    effective: float
    returned: float
    result: str | bool | None = None


class FaceWorld:
    """One face behind one lock: what happens at an event's time happens then and at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lives = 0
        self.now: str | None = None

    def take(self, call: _Call) -> None:
        match call.kind:
            case Kind.ENROL:
                if self.now is None:
                    self.now = f"{self.name}#{self.lives}"
                    self.lives += 1
                call.result = self.now
            case Kind.DELETE:
                call.result = self.now == call.id
                self.now = None if call.result else self.now
            case Kind.READ:
                call.result = self.now == call.id
            case Kind.LOOK:
                call.result = self.now


def good_history(
    seed: int, length: int = 60, clients: int = 4, lossy: float = 0.1, name: str = "face"
) -> list[Operation]:
    """What `clients` see that ask one call after another, of whose answers a share of `lossy` is lost."""
    generator = random.Random(seed)
    world = FaceWorld(name)
    met: list[str] = []
    events: list[tuple[float, int, Callable[[], None]]] = []
    calls: list[_Call] = []

    def at(time: float, action: Callable[[], None]) -> None:
        heapq.heappush(events, (time, len(events) + len(calls) * 1000, action))

    def begin(time: float) -> None:
        if len(calls) >= length:
            return
        call = random_call(generator, time, met, lossy)
        calls.append(call)
        if call.effective < NEVER:
            at(call.effective, lambda: world.take(call))
        after = call.returned if call.returned < NEVER else time + generator.uniform(0.1, 2)
        at(after, lambda: end(call, after))

    def end(call: _Call, time: float) -> None:
        if call.returned < NEVER and isinstance(call.result, str) and call.result not in met:
            met.append(call.result)
        pause = time + generator.uniform(0.01, 1)
        at(pause, lambda: begin(pause))

    for _ in range(clients):
        start = generator.uniform(0, 1)
        at(start, lambda start=start: begin(start))
    while events:
        _, _, action = heapq.heappop(events)
        action()
    return [
        Operation(name, call.kind, call.id, call.called, call.returned, call.result if call.returned < NEVER else None)
        for call in calls
    ]


def random_call(generator: random.Random, time: float, met: list[str], lossy: float) -> _Call:
    kind = generator.choice(list(Kind)) if met else generator.choice([Kind.ENROL, Kind.LOOK])
    id = generator.choice(met[-3:]) if kind in (Kind.DELETE, Kind.READ) else None
    effective = time + generator.uniform(0.01, 1)
    if generator.random() >= lossy:
        return _Call(kind, id, time, effective, effective + generator.uniform(0.01, 1))
    # Long after, or never.
    return _Call(kind, id, time, generator.choice([effective, time + generator.uniform(1, 20), NEVER]), NEVER)


def read(face: str, id: str, at: float, result: bool) -> Operation:
    return Operation(face, Kind.READ, id, at + MOMENT, at + 2 * MOMENT, result)


def seen(history: list[Operation]) -> list[tuple[Operation, str]]:
    """Operations at some moment of which the face surely had an id, and that id."""
    found: list[tuple[Operation, str]] = []
    for operation in history:
        if not operation.known:
            continue
        if operation.kind in (Kind.ENROL, Kind.LOOK) and isinstance(operation.result, str):
            found.append((operation, operation.result))
        elif operation.kind == Kind.READ and operation.result is True and operation.id:
            found.append((operation, operation.id))
    return found


def safe(history: list[Operation]) -> list[tuple[Operation, str]]:
    """The same, where nobody had begun to delete that id when the operation returned, nor a little later."""

    def untouched(operation: Operation, id: str) -> bool:
        deletes = (other for other in history if other.kind == Kind.DELETE and other.id == id)
        return all(delete.called > operation.returned + 3 * MOMENT for delete in deletes)

    return [(operation, id) for operation, id in seen(history) if untouched(operation, id)]


def deleted(history: list[Operation]) -> list[Operation]:
    return [
        operation
        for operation in history
        if operation.kind == Kind.DELETE and operation.known and operation.result is True
    ]


# Each takes a good history and adds one operation that cannot be, or gives None where the history has no place for it.
Spoil = Callable[[list[Operation], random.Random], Operation | None]


def lost_write(history: list[Operation], generator: random.Random) -> Operation | None:
    places = [(operation, id) for operation, id in safe(history) if operation.kind == Kind.ENROL]
    if not places:
        return None
    operation, id = generator.choice(places)
    return read(operation.face, id, operation.returned, False)


def stale_read(history: list[Operation], generator: random.Random) -> Operation | None:
    """Somebody saw it, and the next one does not."""
    places = [(operation, id) for operation, id in safe(history) if operation.kind != Kind.ENROL]
    if not places:
        return None
    operation, _ = generator.choice(places)
    return replace(read(operation.face, "", operation.returned, False), kind=Kind.LOOK, id=None, result=None)


def return_of_the_deleted(history: list[Operation], generator: random.Random) -> Operation | None:
    if not (places := deleted(history)):
        return None
    operation = generator.choice(places)
    return read(operation.face, operation.id or "", operation.returned, True)


def deleted_again(history: list[Operation], generator: random.Random) -> Operation | None:
    if not (places := deleted(history)):
        return None
    operation = generator.choice(places)
    return replace(operation, called=operation.returned + MOMENT, returned=operation.returned + 2 * MOMENT)


def deleted_id_given_again(history: list[Operation], generator: random.Random) -> Operation | None:
    if not (places := deleted(history)):
        return None
    operation = generator.choice(places)
    late = replace(operation, called=operation.returned + MOMENT, returned=operation.returned + 2 * MOMENT)
    return replace(late, kind=Kind.ENROL, id=None, result=operation.id)


def second_id(history: list[Operation], generator: random.Random) -> Operation | None:
    """It is enrolled and lives, and is enrolled again as another."""
    if not (places := safe(history)):
        return None
    operation, _ = generator.choice(places)
    late = read(operation.face, "", operation.returned, True)
    return replace(late, kind=Kind.ENROL, id=None, result="another")


def living_not_found(history: list[Operation], generator: random.Random) -> Operation | None:
    if not (places := safe(history)):
        return None
    operation, id = generator.choice(places)
    return replace(read(operation.face, id, operation.returned, False), kind=Kind.DELETE)


def older_after_newer(history: list[Operation], generator: random.Random) -> Operation | None:
    """One reader sees the second life of a face, the next one the first again."""
    sights = seen(history)
    places = [
        (late, old)
        for late, new in sights
        for early, old in sights
        if old != new and early.returned < late.called
    ]
    if not places:
        return None
    operation, id = generator.choice(places)
    return read(operation.face, id, operation.returned, True)


def before_anyone_enrolled(history: list[Operation], generator: random.Random) -> Operation | None:
    start = min(operation.called for operation in history) - 1
    return read(history[0].face, f"{history[0].face}#0", start, True)


SPOILS: tuple[Spoil, ...] = (
    lost_write, stale_read, return_of_the_deleted, deleted_again, deleted_id_given_again, second_id, living_not_found,
    older_after_newer,
)


def short_history(generator: random.Random) -> list[Operation]:
    """Two to six operations whose results are drawn, or those of a face that behaves, one of them perhaps altered."""
    length = generator.randint(2, 6)
    if generator.random() < 0.6:
        history = good_history(generator.getrandbits(48), length, clients=3, lossy=0.3, name="f")
        if generator.random() < 0.5:
            index = generator.randrange(length)
            history[index] = drawn(generator, history[index].kind, history[index].called, history[index].returned)
        return history
    return [drawn(generator, generator.choice(list(Kind)), *drawn_times(generator)) for _ in range(length)]


def drawn_times(generator: random.Random) -> tuple[float, float]:
    called = generator.randint(0, 12)
    return called, NEVER if generator.random() < 0.3 else called + generator.randint(0, 6)


def drawn(generator: random.Random, kind: Kind, called: float, returned: float) -> Operation:
    ids = ["f#0", "f#1"]
    id = generator.choice(ids) if kind in (Kind.DELETE, Kind.READ) else None
    result: str | bool | None = None
    if returned < NEVER:
        match kind:
            case Kind.ENROL:
                result = generator.choice(ids)
            case Kind.LOOK:
                result = generator.choice([*ids, None])
            case Kind.DELETE | Kind.READ:
                result = generator.choice([True, False])
    return Operation("f", kind, id, called, returned, result)
