"""`make accuracy DATA=faces.tar`: enrols one photo a person, searches with the others, and reports rank-1.

The photos come as a tar file or folder with one folder a person and at least two photos in it. The first photo by name
is enrolled through IndexFaces, of which the largest face is kept; every other one is searched through
SearchFacesByImage.
"""

import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Tests/ProcessTests"))

from harness import Server  # noqa: E402

COLLECTION = "accuracy"
RANK1_MIN = 0.996
CLIENTS = 4
BRING = """accuracy: bring photos, for example Labeled Faces in the Wild:
  make accuracy DATA=faces.tar
DATA is a tar file or a folder with one folder a person, each with two photos or more (JPEG or PNG). The first photo by
name is enrolled, the others are searched."""


@dataclass(frozen=True)
class Photo:
    person: str
    name: str
    content: bytes


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1] else None
    if source is None or not source.exists():
        sys.exit(BRING if source is None else f"accuracy: there is no {source}\n{BRING}")
    enrolled, probes = split(list(photos(source)))
    if not probes:
        sys.exit(f"accuracy: no person in {source} has two photos\n{BRING}")
    with tempfile.TemporaryDirectory(prefix="facet-accuracy-") as folder:
        server = Server(Path(folder) / "data")
        server.start()
        try:
            sys.exit(0 if measure(server, enrolled, probes) else 1)
        finally:
            server.stop()


def photos(source: Path) -> Iterator[Photo]:
    """Every photo of the source; its person is the folder it stands in."""
    if source.is_dir():
        entries = ((path.relative_to(source).as_posix(), path.read_bytes) for path in source.rglob("*"))
        yield from (photo(name, read()) for name, read in entries if is_photo(name))
        return
    with tarfile.open(source) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() and is_photo(member.name) else None
            if content is not None:
                yield photo(member.name, content.read())


def is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in (".jpg", ".jpeg", ".png")


def photo(name: str, content: bytes) -> Photo:
    path = PurePosixPath(name)
    return Photo(path.parent.name, path.name, content)


def split(every: list[Photo]) -> tuple[list[Photo], list[Photo]]:
    """The first photo by name of each person with several, and the others."""
    people: dict[str, list[Photo]] = {}
    for item in sorted(every, key=lambda item: (item.person, item.name)):
        people.setdefault(item.person, []).append(item)
    several = [items for items in people.values() if len(items) > 1]
    return [items[0] for items in several], [item for items in several for item in items[1:]]


def measure(server: Server, enrolled: list[Photo], probes: list[Photo]) -> bool:
    """Prints the figures; whether rank-1 is what the model promises."""
    client = server.client("accuracy", "accuracy")
    client.create_collection(CollectionId=COLLECTION)
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        people = dict(item for item in pool.map(lambda item: enrol(client, item), enrolled) if item)
        enrolment = time.monotonic() - began
        began = time.monotonic()
        ranked = list(pool.map(lambda item: search(client, item), probes))
    searches = time.monotonic() - began
    firsts = [people.get(faces[0]) if faces else None for faces, _ in ranked]
    hits = sum(first == item.person for first, item in zip(firsts, probes, strict=True))
    print(f"enrolled {len(people)} of {len(enrolled)} people in {enrolment:.1f} s")
    print(f"searched with {len(probes)} other photos of them in {searches:.1f} s")
    for item, first in zip(probes, firsts, strict=True):
        if first != item.person:
            print(f"  missed {item.name}: {'no face' if first is None else 'another person first'}")
    print(f"rank-1 {hits} of {len(probes)} = {hits / len(probes):.2%} (promised: {RANK1_MIN:.1%} or more)")
    mates = sorted(mate for _, mate in ranked if mate)
    if mates:
        print(f"similarity of the first candidate: median {mates[len(mates) // 2]:.2f}, lowest {mates[0]:.2f}")
    return hits / len(probes) >= RANK1_MIN


def enrol(client: Any, item: Photo) -> tuple[str, str] | None:
    """FaceId and person of a photo's largest face; faces of others in the photo are taken out again."""
    made = client.index_faces(CollectionId=COLLECTION, Image={"Bytes": item.content}, QualityFilter="NONE")
    faces = [record["Face"]["FaceId"] for record in made["FaceRecords"]]
    if len(faces) > 1:
        client.delete_faces(CollectionId=COLLECTION, FaceIds=faces[1:])
    return (faces[0], item.person) if faces else None


def search(client: Any, item: Photo) -> tuple[list[str], float | None]:
    """FaceIds, best first, and the first one's similarity; none if the photo has no face."""
    try:
        found = client.search_faces_by_image(
            CollectionId=COLLECTION, Image={"Bytes": item.content}, MaxFaces=5, FaceMatchThreshold=0
        )["FaceMatches"]
    except client.exceptions.InvalidParameterException:
        return [], None
    return [match["Face"]["FaceId"] for match in found], found[0]["Similarity"] if found else None


if __name__ == "__main__":
    main()
