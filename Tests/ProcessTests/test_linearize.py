"""The checker of histories agrees with trying all orders, explains what it rejects, and rejects what cannot be."""

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from histories import SPOILS, Spoil, before_anyone_enrolled, good_history, short_history
from linearize import NEVER, Kind, Operation, check, load, save

SEED = 5
SHORT = 10_000
BAD = 200


def fits_some_order(history: list[Operation]) -> bool:
    """Every order of every choice of those without an outcome, with every id that these may have given."""
    known = [operation for operation in history if operation.known]
    lost = [operation for operation in history if not operation.known]
    ids = sorted({text for operation in history for text in (operation.id, operation.result) if isinstance(text, str)})
    for count in range(len(lost) + 1):
        for chosen in itertools.combinations(lost, count):
            for order in itertools.permutations([*known, *chosen]):
                if in_time(order) and any(
                    plays(order, given)
                    for given in itertools.product([*ids, "other"], repeat=sum(op.kind == Kind.ENROL for op in chosen))
                ):
                    return True
    return False


def in_time(order: tuple[Operation, ...]) -> bool:
    return not any(late.returned < early.called for early, late in itertools.combinations(order, 2))


def plays(order: tuple[Operation, ...], given: tuple[str, ...]) -> bool:
    """Whether one face, used in this order, gives these results; `given` are the ids of enrolments without one."""
    ids = iter(given)
    past: list[str] = []
    alive = False
    for operation in order:
        current = past[-1] if alive else None
        if operation.kind == Kind.ENROL:
            new = operation.result if operation.known else next(ids)
            if alive:
                if operation.known and new != current:
                    return False
            elif new in past:
                return False
            else:
                past.append(str(new))
                alive = True
        elif operation.kind == Kind.DELETE:
            hit = current is not None and current == operation.id
            if operation.known and operation.result != hit:
                return False
            alive = alive and not hit
        elif operation.known:
            answer = current if operation.kind == Kind.LOOK else current is not None and current == operation.id
            if operation.result != answer:
                return False
    return True


def test_as_all_orders_say() -> None:
    generator = random.Random(SEED)
    verdicts = {True: 0, False: 0}
    for number in range(SHORT):
        history = short_history(generator)
        expected = fits_some_order(history)
        verdicts[expected] += 1
        assert (check(history) is None) == expected, f"history {number} of seed {SEED}: {history}"
    print(f"\nseed {SEED}: {verdicts[True]} histories that some order explains, {verdicts[False]} that none does")
    assert min(verdicts.values()) > SHORT // 5


def test_what_behaves_is_accepted() -> None:
    for seed in range(SEED, SEED + 200):
        assert check(good_history(seed)) is None, f"seed {seed}"


def test_what_cannot_be_is_rejected() -> None:
    """Of each kind of impossible history equally many."""
    rejected = 0
    for seed in itertools.count(SEED):
        history = good_history(seed)
        for spoil in (*SPOILS, before_anyone_enrolled):
            added = spoil(history, random.Random(seed))
            if added is None:
                continue
            violation = check([*history, added])
            assert violation is not None, f"{spoil.__name__} of seed {seed} is taken for good: {added}"
            rejected += 1
        if rejected >= BAD:
            break
    print(f"\nseed {SEED}: {rejected} impossible histories, all rejected")


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_every_way_of_spoiling_finds_its_place(spoil: Spoil) -> None:
    found = sum(spoil(good_history(seed), random.Random(seed)) is not None for seed in range(30))
    assert found >= 10


def test_an_explanation_is_as_short_as_can_be() -> None:
    """One enrolment that was acknowledged, and one reading that does not see it."""
    history = good_history(SEED, length=300, clients=8)
    end = max(operation.returned for operation in history if operation.known) + 100
    other = [
        Operation("lost", Kind.ENROL, None, end, end + 1, "lost#0"),
        Operation("lost", Kind.LOOK, None, end + 2, end + 3, "lost#0"),
        Operation("lost", Kind.READ, "lost#0", end + 4, end + 5, False),
        Operation("lost", Kind.LOOK, None, end + 6, end + 7, None),
    ]
    violation = check([*history, *other])
    assert violation is not None and violation.face == "lost"
    assert violation.operations == [other[0], other[2]]
    assert str(violation).splitlines() == [
        "lost: no order of these explains them",
        "  [0.000000, 1.000000] enrol -> lost#0",
        "  [4.000000, 5.000000] read lost#0 -> False",
    ]
    twice = [other[0].unknown(), replace(other[2], result=True), replace(other[2], called=end + 8, returned=end + 9)]
    assert "and whatever the outcome of 1 enrol that began before" in str(check(twice))


def test_leaving_any_known_operation_of_an_explanation_open_makes_it_fit() -> None:
    for seed in range(12):
        history = good_history(seed)
        for spoil in SPOILS:
            added = spoil(history, random.Random(seed))
            violation = check([*history, added]) if added else None
            for operation in violation.operations if violation else []:
                assert violation
                others = [other for other in violation.operations if other is not operation]
                weaker = [operation.unknown()] if operation.changes else []
                if operation.known:
                    assert check([*others, *weaker]) is None, f"{spoil.__name__} of seed {seed}"


def test_attempts_of_one_token_are_one_operation() -> None:
    first = Operation("f", Kind.DELETE, "f#0", 2, NEVER, None, token="t")
    history = [
        Operation("f", Kind.ENROL, None, 0, 1, "f#0"),
        first,
        replace(first, called=4, returned=5, result=True),
        Operation("f", Kind.LOOK, None, 2.5, 3, None),
    ]
    assert check(history) is None, "the first attempt deleted it"
    assert check([replace(operation, token=None) for operation in history]) is not None, "two deletes cannot both"
    again = replace(first, called=6, returned=7, result=False)
    violation = check([*history, again])
    assert violation is not None and "token" in violation.why


def test_what_timed_out_may_happen_late_or_never() -> None:
    enrol = Operation("f", Kind.ENROL, None, 0)
    none = Operation("f", Kind.LOOK, None, 10, 11, None)
    there = Operation("f", Kind.LOOK, None, 20, 21, "f#0")
    assert check([enrol, none]) is None
    assert check([enrol, none, there]) is None
    gone = replace(none, called=30, returned=31)
    assert check([enrol, there, gone]) is not None, "nobody deleted it"
    assert check([replace(enrol, called=22), there]) is not None, "it was seen before it was sent"


def test_a_history_in_a_file_is_the_same(tmp_path: Path) -> None:
    history = good_history(SEED)
    save(history, tmp_path / "history.jsonl")
    assert load(tmp_path / "history.jsonl") == history
