"""Clients of a cluster that goes through faults, and a record of everything they were told, with times."""

import http.client
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness import DIMENSION, CallFailed, Caller, Response, encode
from linearize import NEVER, Kind, Operation

# Faces of a collection that are in use at a time, and calls after which another takes one's place: enough of both for
# calls to meet at one face, few enough for its history to be checked at once.
FACES_IN_USE = 12
USES_MAX = 30
# Between a client's calls; after an error, so that a refusal at once is not asked for again and again.
PAUSE = 0.005
PAUSE_AFTER_ERROR = 0.03
PAGE = 100
# What a client may be told while something is broken. Anything else is a surprise.
ERRORS = {"InternalServerError", "ProvisionedThroughputExceededException", "ThrottlingException"}


@dataclass(eq=False)
class Face:
    name: str
    collection: str
    vector: np.ndarray
    # Every id that anybody was told, in the order of the telling.
    ids: list[str] = field(default_factory=list)
    uses: int = 0


class Faces:
    """The faces that clients work on; each in one collection. Safe to use from every thread."""

    def __init__(self, collections: list[str], seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.lock = threading.Lock()
        self.by_name: dict[str, Face] = {}
        self.in_use = {name: [self._new(name) for _ in range(FACES_IN_USE)] for name in collections}

    def pick(self, generator: random.Random, collection: str, count: int = 1) -> list[Face]:
        """Different ones; some are picked far more often than others."""
        with self.lock:
            there = self.in_use[collection]
            places = {int(len(there) * generator.random() ** 2) for _ in range(count)}
            picked = [there[place] for place in sorted(places)]
            for place in places:
                there[place].uses += 1
                if there[place].uses >= USES_MAX:
                    there[place] = self._new(collection)
            return picked

    def told(self, face: Face, id: str) -> None:
        with self.lock:
            if id not in face.ids:
                face.ids.append(id)

    def known(self, collection: str) -> list[tuple[Face, str]]:
        """Ids of the faces in use, with their faces."""
        with self.lock:
            return [(face, id) for face in self.in_use[collection] for id in face.ids]

    def all(self) -> list[Face]:
        with self.lock:
            return list(self.by_name.values())

    def _new(self, collection: str) -> Face:
        vector = self.generator.standard_normal(DIMENSION).astype(np.float32)
        face = Face(f"{collection}.{len(self.by_name)}", collection, vector / np.linalg.norm(vector))
        self.by_name[face.name] = face
        return face


@dataclass
class Record:
    """What the clients saw. Lists are only appended to, which Python does at once for every thread."""

    operations: list[Operation] = field(default_factory=list)
    # Ids of the searches that were answered.
    searches: list[str] = field(default_factory=list)
    # When a write was acknowledged, by collection.
    writes: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)
    slowest: float = 0

    def add(self, face: Face, kind: Kind, id: str | None, call: "Call", result: str | bool | None = None) -> None:
        """One that was never sent is none, and a reading without an answer says nothing."""
        if call.answer is not None:
            self.operations.append(Operation(face.name, kind, id, call.called, call.returned, result))
        elif call.sent and kind in (Kind.ENROL, Kind.DELETE):
            self.operations.append(Operation(face.name, kind, id, call.called))


@dataclass(frozen=True)
class Call:
    called: float
    returned: float = NEVER
    answer: Response | None = None
    sent: bool = True


class Session:
    """One client's calls of whichever coordinator it chooses."""

    def __init__(self, faces: Faces, record: Record, seed: int) -> None:
        self.faces, self.record = faces, record
        self.generator = random.Random(seed)

    def ask(self, coordinator: Caller, target: str, body: dict[str, Any]) -> Call:
        called = time.monotonic()
        try:
            answer = coordinator.call(target, body)
            return Call(called, time.monotonic(), answer)
        except CallFailed as failure:
            self.record.errors[failure.response.error] += 1
            if failure.response.error not in ERRORS:
                self.record.surprises.append(f"{target}: {failure}")
            return Call(called)
        except ConnectionRefusedError:
            self.record.errors["connection refused"] += 1
            return Call(called, sent=False)
        except (OSError, http.client.HTTPException) as failure:
            self.record.errors[type(failure).__name__] += 1
            return Call(called)
        finally:
            self.record.slowest = max(self.record.slowest, time.monotonic() - called)

    def enrol(self, coordinator: Caller, collection: str) -> bool:
        return self.enrol_faces(coordinator, self.faces.pick(self.generator, collection, self.generator.randint(1, 3)))

    def enrol_faces(self, coordinator: Caller, faces: list[Face]) -> bool:
        """Whether it was answered, as of every call below."""
        items = [{"ExternalImageId": face.name, "Vector": encode(face.vector)} for face in faces]
        collection = faces[0].collection
        call = self.ask(coordinator, "FacetService.IndexVectors", {"CollectionId": collection, "Vectors": items})
        records = call.answer.json["FaceRecords"] if call.answer else [None] * len(faces)
        if len(records) != len(faces):
            self.record.surprises.append(f"{len(faces)} vectors were sent, {len(records)} enrolled")
        for face, record in zip(faces, records, strict=False):
            id = record["Face"]["FaceId"] if record else None
            self.record.add(face, Kind.ENROL, None, call, id)
            if id:
                self.faces.told(face, id)
        if call.answer:
            self.record.writes[collection].append(call.returned)
        return call.answer is not None

    def delete(self, coordinator: Caller, collection: str) -> bool:
        [face] = self.faces.pick(self.generator, collection)
        ids = list(face.ids)
        if not ids:
            return self.enrol_faces(coordinator, [face])
        id = ids[-1] if self.generator.random() < 0.8 else self.generator.choice(ids)
        body = {"CollectionId": collection, "FaceIds": [id]}
        call = self.ask(coordinator, "RekognitionService.DeleteFaces", body)
        self.record.add(face, Kind.DELETE, id, call, id in call.answer.json["DeletedFaces"] if call.answer else None)
        if call.answer:
            self.record.writes[collection].append(call.returned)
        return call.answer is not None

    def look(self, coordinator: Caller, collection: str) -> bool:
        """Searches for a face."""
        [face] = self.faces.pick(self.generator, collection)
        body = {
            "CollectionId": collection, "Vector": encode(face.vector), "MaxFaces": 5, "CosineThreshold": 0.9,
        }
        call = self.ask(coordinator, "FacetService.SearchByVector", body)
        if call.answer:
            self.record.searches.append(call.answer.headers["x-facet-search-id"])
            self.note_matches(face, call, call.answer.json["FaceMatches"])
        return call.answer is not None

    def note_matches(self, face: Face, call: Call, matches: list[dict[str, Any]]) -> None:
        found = [match["Face"] for match in matches]
        ids = [entry["FaceId"] for entry in found if entry["ExternalImageId"] == face.name]
        if len(ids) != len(found) or len(ids) > 1:
            self.record.surprises.append(f"searched {face.name}, found {found}")
        self.record.add(face, Kind.LOOK, None, call, ids[0] if ids else None)
        for id in ids:
            self.faces.told(face, id)

    def get(self, coordinator: Caller, collection: str) -> bool:
        """Some ids, of which some are deleted."""
        known = self.faces.known(collection)
        if not known:
            return True
        chosen = self.generator.sample(known, min(8, len(known)))
        body = {"CollectionId": collection, "FaceIds": [id for _, id in chosen], "MaxResults": PAGE}
        call = self.ask(coordinator, "RekognitionService.ListFaces", body)
        if call.answer:
            there = {entry["FaceId"] for entry in call.answer.json["Faces"]}
            for face, id in chosen:
                self.record.add(face, Kind.READ, id, call, id in there)
        return call.answer is not None

    def list(self, coordinator: Caller, collection: str) -> bool:
        """A collection's first page. An id that was known before and is not on it, where it would be, is not there."""
        known = self.faces.known(collection)
        body = {"CollectionId": collection, "MaxResults": PAGE}
        call = self.ask(coordinator, "RekognitionService.ListFaces", body)
        if call.answer:
            page = call.answer.json
            there = {entry["FaceId"]: entry["ExternalImageId"] for entry in page["Faces"]}
            last = max(there, default="") if page.get("NextToken") else "~"
            for face, id in known:
                if id <= last:
                    self.record.add(face, Kind.READ, id, call, id in there)
        return call.answer is not None


class Clients:
    """Threads that call every coordinator until they are told to end. `steady` collections have a writer of their own
    each, so that a pause in their writes shows."""

    def __init__(self, coordinators: list[Caller], faces: Faces, record: Record, steady: list[str], seed: int) -> None:
        self.coordinators, self.faces, self.record, self.seed = coordinators, faces, record, seed
        self.ending = threading.Event()
        loops: list[Callable[[Session], None]] = [self._mixed] * (2 * len(coordinators))
        loops += [lambda session, name=name: self._steady(session, name) for name in steady]
        self.threads = [
            threading.Thread(target=self._run, args=(loop, seed * 1000 + index)) for index, loop in enumerate(loops)
        ]

    def __enter__(self) -> "Clients":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def _run(self, loop: Callable[[Session], None], seed: int) -> None:
        try:
            loop(Session(self.faces, self.record, seed))
        except Exception as failure:
            self.record.surprises.append(f"a client ended: {type(failure).__name__}: {failure}")
            raise

    def _mixed(self, session: Session) -> None:
        steps = (session.enrol, session.delete, session.look, session.get, session.list)
        collections = list(self.faces.in_use)
        while not self.ending.is_set():
            [step] = session.generator.choices(steps, (35, 20, 25, 12, 8))
            coordinator = session.generator.choice(self.coordinators)
            answered = step(coordinator, session.generator.choice(collections))
            self.ending.wait(PAUSE if answered else PAUSE_AFTER_ERROR)

    def _steady(self, session: Session, collection: str) -> None:
        number = 0
        while not self.ending.is_set():
            step = session.generator.choice((session.enrol, session.enrol, session.delete))
            answered = step(self.coordinators[number % len(self.coordinators)], collection)
            number += not answered
            self.ending.wait(PAUSE if answered else PAUSE_AFTER_ERROR)
