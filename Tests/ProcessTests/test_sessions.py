"""Reads that any copy answers: as new as the client has seen, or not older than it bounds."""

import time
from collections.abc import Callable

import pytest

from cluster import Coordinator, Lab
from harness import Response, encode, unit_vectors

COLLECTION = "seen"
SESSION = "x-facet-session"
FACES = 200
VECTORS = unit_vectors(FACES, seed=1)


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(Lab, copies=3, ledgers=3, deadline=4)


def make(lab: Lab, name: str) -> str:
    """A collection of one shard with faces in it, and what its client has seen."""
    coordinator = lab.coordinators[0]
    coordinator.call("FacetService.CreateCollection", {"CollectionId": name, "Shards": 1})
    items = [{"ExternalImageId": f"f{number}", "Vector": encode(vector)} for number, vector in enumerate(VECTORS)]
    return coordinator.call("FacetService.IndexVectors", {"CollectionId": name, "Vectors": items}).headers[SESSION]


def listing(coordinator: Coordinator, name: str, headers: dict[str, str]) -> Response:
    body = {"CollectionId": name, "MaxResults": 4096}
    return coordinator.post("RekognitionService.ListFaces", body, headers=headers)


def search(coordinator: Coordinator, name: str, headers: dict[str, str]) -> Response:
    body = {"CollectionId": name, "Vector": encode(VECTORS[7]), "MaxFaces": 3, "CosineThreshold": 0.9}
    return coordinator.post("FacetService.SearchByVector", body, headers=headers)


def test_a_session_sees_its_own_writes_at_any_coordinator_and_copy(lab: Lab) -> None:
    session = make(lab, COLLECTION)
    for number in range(40):
        here, there = (lab.coordinators[(number + turn) % 2] for turn in (0, 1))
        vector = unit_vectors(1, seed=500 + number)
        items = [{"ExternalImageId": f"w{number}", "Vector": encode(vector[0])}]
        body = {"CollectionId": COLLECTION, "Vectors": items}
        made = here.call("FacetService.IndexVectors", body, {SESSION: session})
        id = made.json["FaceRecords"][0]["Face"]["FaceId"]
        headers = {"x-facet-consistency": "session", SESSION: made.headers[SESSION]}
        body = {"CollectionId": COLLECTION, "Vector": encode(vector[0]), "MaxFaces": 1, "CosineThreshold": 0.99}
        found = there.call("FacetService.SearchByVector", body, headers)
        assert [match["Face"]["FaceId"] for match in found.json["FaceMatches"]] == [id]
        assert found.headers["x-facet-coverage"].endswith(" reads=session")
        deleted = there.call("RekognitionService.DeleteFaces", {"CollectionId": COLLECTION, "FaceIds": [id]}, headers)
        headers[SESSION] = session = deleted.headers[SESSION]
        faces = listing(here, COLLECTION, headers).json["Faces"]
        assert len(faces) == FACES and id not in [face["FaceId"] for face in faces]


def test_the_last_copy_of_a_shard_answers_sessions_and_nothing_else(lab: Lab) -> None:
    """Two of its three copies are gone, of the ledger's one: searches are on record as ever."""
    spare = lab.nodes[3].label
    for number in range(20):
        name = f"alone-{number}"
        session = make(lab, name)
        [shard] = lab.shards(name)
        homes = {copy["Node"] for copy in shard["Copies"]}
        if spare in homes:
            break
    else:
        raise AssertionError(f"no shard of twenty has a copy on {spare}")
    # Until every copy has heard that what it holds is committed; of what it has not it says nothing.
    time.sleep(1)
    victims = [lab.node(spare), lab.node(sorted(homes - {spare})[0])]
    for victim in victims:
        victim.kill()
    coordinator = lab.coordinators[1]
    headers = {"x-facet-consistency": "session", SESSION: session}
    coordinator.wait_until("a search on record", lambda: search(coordinator, name, headers).status == 200, seconds=60)
    found = search(coordinator, name, headers)
    assert [match["Face"]["ExternalImageId"] for match in found.json["FaceMatches"]] == ["f7"]
    assert coordinator.search_record(found.headers["x-facet-search-id"]).status == 200
    assert len(listing(coordinator, name, headers).json["Faces"]) == FACES
    # The copy that is there waits for the others' word, or is one that was left; one that is gone may be the last asked.
    for headers in ({}, {"x-facet-consistency": "bounded=1"}):
        refused = listing(coordinator, name, headers)
        assert refused.status != 200 and shard["Shard"] in refused.message, refused.message
        if not headers:
            assert refused.error == "ProvisionedThroughputExceededException", refused.message
    for victim in victims:
        victim.start()
    coordinator.wait_until("strong again", lambda: listing(coordinator, name, {}).status == 200, seconds=60)
    assert len(listing(coordinator, name, {"x-facet-consistency": "bounded=5000"}).json["Faces"]) == FACES
