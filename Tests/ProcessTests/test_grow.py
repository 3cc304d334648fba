"""An embedded server that becomes a cluster: everything it had is there, and then survives the loss of its machine."""

from collections.abc import Callable
from pathlib import Path

from cluster import Lab, place_key
from harness import Caller, Response, Server, encode, facectl, unit_vectors

COLLECTION = "grown"
SESSION = "x-facet-session"
VECTORS = unit_vectors(80, seed=9)
NAMES = [f"f{number}" for number in range(80)]


class Grown(Lab):
    """A cluster whose node-1 takes over the directory of an embedded server that was killed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, nodes=3, coordinators=2, copies=3, ledgers=3)
        self.server = Server(folder / "node-1")

    def start(self) -> "Lab":
        self.folder.mkdir(parents=True)
        self.server.start()
        self.server.client().create_collection(CollectionId=COLLECTION)
        self.faces = self.server.index_vectors(COLLECTION, VECTORS, NAMES)
        deleted = self.server.call(
            "RekognitionService.DeleteFaces", {"CollectionId": COLLECTION, "FaceIds": self.faces[:20]}
        )
        self.session = deleted.headers[SESSION]
        self.before = self.server.search_vector(COLLECTION, VECTORS[50], limit=60, cosine=-1.0)
        return super().start()

    def _make_keys(self) -> None:
        """Those of the server, once the command has said that they are missing."""

    def _make_access_key(self) -> None:
        assert "another server is running" in self.grow(fails=True)
        self.server.kill()
        assert "copy" in self.grow(fails=True)
        place_key(self.folder, b"k" * 32)
        assert "is another key than" in self.grow(fails=True)
        key = (self.folder / "node-1" / "key").read_bytes()
        for folder in (self.folder, self.folder / "node-2", self.folder / "node-3"):
            place_key(folder, key)
        assert "is node-1 of the cluster" in self.grow()
        assert "already" in self.grow()
        self.server.launch()
        assert self.server.process.wait(20) == 1 and "belongs to the cluster 'test'" in self.server.log
        self.server.process = None
        for coordinator in self.coordinators:
            coordinator.key = self.server.key

    def grow(self, fails: bool = False) -> str:
        done = facectl("control", "grow", "--config", str(self.config), "--node", "node-1")
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr


def matches(answer: Response) -> list[tuple[str, float]]:
    return [(match["Face"]["FaceId"], match["Cosine"]) for match in answer.json["FaceMatches"]]


def test_a_server_becomes_a_cluster_and_loses_nothing(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(Grown)
    keys = facectl("keys", "list", "--data", str(lab.folder / "node-1"))
    assert keys.returncode == 1 and "--config" in keys.stderr
    first, second = lab.coordinators
    require_the_same(lab)

    replicate(lab)
    [place] = lab.shards(COLLECTION)
    assert (place["CopiesInSync"], place["MinInSync"], place["Generation"]) == (3, 2, 0)
    assert "at least 2 acknowledge" in replicate(lab)
    require_the_same(lab)

    # The machine that had it all.
    lab.node("node-1").kill()
    again = second.index_vectors(COLLECTION, VECTORS[:1], NAMES[:1])
    assert again[0] not in lab.faces
    assert matches(second.search_vector(COLLECTION, VECTORS[50], limit=1, cosine=0.9)) == matches(lab.before)[:1]
    require_recorded(second, lab.before.headers["x-facet-search-id"])
    lab.node("node-1").start()
    first.wait_until("whole", lambda: lab.shards(COLLECTION)[0]["CopiesInSync"] == 3, seconds=60)


def replicate(lab: Lab) -> str:
    operators = lab.coordinators[0].environment | lab.make_key(tenant="000000000000").environment
    done = facectl("shard", "replicate", environment=operators)
    assert done.returncode == 0 and "(ledger)" in done.stdout, done.stdout + done.stderr
    return done.stdout


def require_recorded(coordinator: Caller, search: str) -> None:
    record = coordinator.search_record(search)
    assert record.status == 200 and record.json["Intent"]["Operation"] == "SearchByVector", record.json


def require_the_same(lab: Lab) -> None:
    """Ids, scores, what was deleted, what a client had seen, and what the ledger says."""
    for coordinator in lab.coordinators:
        assert sorted(coordinator.face_ids(COLLECTION)) == sorted(lab.faces[20:])
        assert matches(coordinator.search_vector(COLLECTION, VECTORS[50], limit=60, cosine=-1.0)) == matches(lab.before)
        body = {"CollectionId": COLLECTION, "Vector": encode(VECTORS[50]), "MaxFaces": 1, "CosineThreshold": 0.9}
        seen = coordinator.call(
            "FacetService.SearchByVector", body, {"x-facet-consistency": "session", SESSION: lab.session}
        )
        assert matches(seen) == matches(lab.before)[:1]
