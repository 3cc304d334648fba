"""What is there when the faults are over, read through every coordinator and held against what clients were told."""

import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chaos_clients import Call, Faces, Record, Session
from cluster import Coordinator, Lab
from harness import encode
from linearize import Kind, Operation, Violation, violations

BATCH = 64


@dataclass
class Judgement:
    """Faces lost and returned, by id, and histories that no order explains."""

    lost: list[str]
    returned: list[str]
    violations: list[Violation]

    def problems(self) -> list[str]:
        found = [f"lost: {id}" for id in self.lost] + [f"returned: {id}" for id in self.returned]
        return found + [str(violation) for violation in self.violations]


def judge(history: list[Operation], present: dict[str, set[str]]) -> Judgement:
    """`present`: the ids that each face has when all is over and healed."""
    told: dict[str, set[str]] = defaultdict(set)
    asked_to_go: set[str] = set()
    gone: set[str] = set()
    for operation in history:
        if operation.kind == Kind.ENROL and isinstance(operation.result, str):
            told[operation.face].add(operation.result)
        elif operation.kind == Kind.DELETE and operation.id:
            asked_to_go.add(operation.id)
            if operation.result is True:
                gone.add(operation.id)
    there = {id for ids in present.values() for id in ids}
    return Judgement(
        sorted(id for ids in told.values() for id in ids - asked_to_go - there),
        sorted(gone & there),
        list(violations(history)),
    )


@dataclass
class Aftermath:
    """Readings are operations of the record like all others."""

    lab: Lab
    faces: Faces
    record: Record
    session: Session

    def read_everything(self) -> dict[str, set[str]]:
        """The ids of each face, by lists and by searches of every coordinator."""
        present: dict[str, set[str]] = {}
        for coordinator in self.lab.coordinators:
            listed = {name: self._list(coordinator, name) for name in self.faces.in_use}
            for face in self.faces.all():
                call, names = listed[face.collection]
                there = {id for id, name in names.items() if name == face.name}
                for id in there | set(face.ids):
                    self.record.add(face, Kind.READ, id, call, id in there)
                if len(there) > 1:
                    self.record.surprises.append(f"{face.name} is listed as {sorted(there)}")
                present[face.name] = present.get(face.name, set()) | there
            for name in self.faces.in_use:
                self._search(coordinator, name)
        return present

    def off_record(self) -> list[str]:
        """Answered searches that the ledger does not know."""
        coordinators = self.lab.coordinators

        def is_missing(number: int) -> bool:
            coordinator = coordinators[number % len(coordinators)]
            return coordinator.search_record(self.record.searches[number]).status != 200

        with ThreadPoolExecutor(4) as threads:
            missing = list(threads.map(is_missing, range(len(self.record.searches))))
        return [search for search, gone in zip(self.record.searches, missing, strict=True) if gone]

    def _list(self, coordinator: Coordinator, collection: str) -> tuple[Call, dict[str, str]]:
        """Every FaceId of a collection and its name."""
        found: dict[str, str] = {}
        began, token = time.monotonic(), None
        while True:
            body = {"CollectionId": collection, "MaxResults": 4096} | ({"NextToken": token} if token else {})
            answer = coordinator.call("RekognitionService.ListFaces", body)
            found |= {face["FaceId"]: face["ExternalImageId"] for face in answer.json["Faces"]}
            token = answer.json.get("NextToken")
            if not token:
                return Call(began, time.monotonic(), answer), found

    def _search(self, coordinator: Coordinator, collection: str) -> None:
        faces = [face for face in self.faces.all() if face.collection == collection]
        for start in range(0, len(faces), BATCH):
            chosen = faces[start : start + BATCH]
            body = {
                "CollectionId": collection, "Vectors": [encode(face.vector) for face in chosen], "MaxFaces": 5,
                "CosineThreshold": 0.9,
            }
            call = self.session.ask(coordinator, "FacetService.SearchByVectors", body)
            assert call.answer, f"a search failed after all was mended: {self.record.errors}"
            for face, search in zip(chosen, call.answer.json["Searches"], strict=True):
                self.record.searches.append(search["SearchId"])
                self.session.note_matches(face, call, search["FaceMatches"])
