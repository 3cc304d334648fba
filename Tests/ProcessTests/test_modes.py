"""Search modes and batches through the real server: what is said, what is equal, what is refused."""

from typing import Any

import numpy as np
import pytest

from harness import Response, Server, encode, photo, unit_vectors

DIMENSION = 128
ALONE, BATCH = "FacetService.SearchByVector", "FacetService.SearchByVectors"
MODES: list[dict[str, Any]] = [
    {},
    {"SearchMode": "exhaustive"},
    {"SearchMode": "certain"},
    {"SearchMode": "routed"},
    {"SearchMode": "routed", "TargetCoverage": 0.6},
]


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """So few that they stay one bucket: what is compared does not change while a test runs."""
    return unit_vectors(400, seed=41)


@pytest.fixture
def enrolled(module_server: Server, collection: str, faces: np.ndarray) -> str:
    module_server.index_vectors(collection, faces, [f"p:{row // 2}" for row in range(len(faces))])
    return collection


def near(faces: np.ndarray, count: int) -> np.ndarray:
    """Probes at cosine .8 to the first faces."""
    noise = unit_vectors(count, seed=42)
    mixed = 0.8 * faces[:count] + 0.6 * noise
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def search(server: Server, collection: str, vector: np.ndarray, **members: Any) -> Response:
    body = {"CollectionId": collection, "Vector": encode(vector), "MaxFaces": 10, "CosineThreshold": -1} | members
    return server.call(ALONE, body)


def test_every_mode_says_what_it_did_and_the_ledger_agrees(
    module_server: Server, enrolled: str, faces: np.ndarray
) -> None:
    [probe] = near(faces, 1)
    stated = []
    for members in MODES:
        answer = search(module_server, enrolled, probe, **members)
        coverage = answer.headers["x-facet-coverage"]
        record = module_server.search_record(answer.headers["x-facet-search-id"]).json
        assert coverage.endswith("mode=" + record["Result"]["Mode"])
        assert f"faces={record['Result']['FacesScored']} " in coverage
        stated.append(record["Result"]["Mode"])
    assert stated[:3] == ["exhaustive sigmas=6", "exhaustive sigmas=6", "exhaustive sigmas=infinity"]
    assert stated[3].startswith("routed coverage=0.95 source=") and stated[3].endswith(" sigmas=6")
    assert stated[4].startswith("routed coverage=0.6 source=")


def test_headers_do_what_members_do(module_server: Server, enrolled: str, faces: np.ndarray) -> None:
    [probe] = near(faces, 1)
    body = {"CollectionId": enrolled, "Vector": encode(probe), "MaxFaces": 10, "CosineThreshold": -1}
    headers = {"x-facet-search-mode": "routed", "x-facet-target-coverage": "0.6"}
    by_header = module_server.call(ALONE, body, headers=headers)
    by_member = search(module_server, enrolled, probe, SearchMode="routed", TargetCoverage=0.6)
    assert by_header.json == by_member.json
    assert by_header.headers["x-facet-coverage"] == by_member.headers["x-facet-coverage"]


def test_exhaustive_and_certain_agree_with_brute_force(
    module_server: Server, enrolled: str, faces: np.ndarray
) -> None:
    for probe in near(faces, 20):
        answers = [search(module_server, enrolled, probe, **members).json["FaceMatches"] for members in MODES[1:3]]
        assert answers[0] == answers[1]
        expected = np.sort(faces @ probe)[::-1][:10]
        assert [match["Cosine"] for match in answers[0]] == pytest.approx(expected, abs=1e-5)


def test_a_routed_search_is_a_part_of_the_exhaustive_one(module_server: Server, collection: str) -> None:
    """Whether the buckets have been split yet or not, and while they are."""
    faces = unit_vectors(2000, seed=43)
    for start in (0, 1000):
        names = [f"p:{row // 2}" for row in range(start, start + 1000)]
        module_server.index_vectors(collection, faces[start : start + 1000], names)
    for probe in near(faces, 20):
        every = search(module_server, collection, probe, MaxFaces=2000).json["FaceMatches"]
        cosines = {match["Face"]["FaceId"]: match["Cosine"] for match in every}
        routed = search(module_server, collection, probe, SearchMode="routed", TargetCoverage=0.6)
        found = routed.json["FaceMatches"]
        assert found == sorted(found, key=lambda match: -match["Cosine"])
        assert all(cosines[match["Face"]["FaceId"]] == match["Cosine"] for match in found)
        probed, buckets = map(int, routed.headers["x-facet-coverage"].split("buckets=")[1].split()[0].split("/"))
        assert 1 <= probed <= buckets
        if probed == buckets:
            assert found == every[:10]


@pytest.mark.parametrize("members", MODES, ids=lambda members: "-".join(map(str, members.values())) or "default")
def test_a_batch_answers_as_its_searches_alone(
    module_server: Server, enrolled: str, faces: np.ndarray, members: dict[str, Any]
) -> None:
    probes = near(faces, 64)
    body = {
        "CollectionId": enrolled, "Vectors": [encode(probe) for probe in probes], "MaxFaces": 10,
        "CosineThreshold": -1,
    }
    answer = module_server.call(BATCH, body | members)
    assert "x-facet-search-id" not in answer.headers
    searches = answer.json["Searches"]
    assert len({found["SearchId"] for found in searches}) == 64
    for probe, found in zip(probes, searches, strict=True):
        alone = search(module_server, enrolled, probe, **members)
        assert found["FaceMatches"] == alone.json["FaceMatches"]
        assert found["Coverage"] == alone.headers["x-facet-coverage"]
        assert found["ExpectedStrangers"] == float(alone.headers["x-facet-expected-strangers"])
    for found in searches[::16]:
        record = module_server.search_record(found["SearchId"]).json
        assert record["Intent"]["Operation"] == "SearchByVectors"
        assert [c["FaceId"] for c in record["Result"]["Candidates"]] == [
            match["Face"]["FaceId"] for match in found["FaceMatches"]
        ]
        assert len(record["Leaves"]) == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"Vectors": []}, "Vectors"),
        ({"Vectors": [[0.1] * DIMENSION] * 65}, "Vectors"),
        ({"Vectors": [[0.1] * DIMENSION, [0.1] * (DIMENSION - 8)]}, "1"),
        ({"Vectors": [[0.1] * DIMENSION, [0.0] * DIMENSION]}, "1"),
        ({"Vectors": [[0.1] * DIMENSION, "AAA"]}, "Vectors[1]"),
        ({"Vectors": [[0.1] * DIMENSION] * 64, "MaxFaces": 1025}, "MaxFaces"),
        ({"MaxFaces": 4097}, "MaxFaces"),
        ({"SearchMode": "fast"}, "SearchMode"),
        ({"TargetCoverage": 0.9}, "TargetCoverage"),
        ({"SearchMode": "routed", "TargetCoverage": 1}, "TargetCoverage"),
    ],
)
def test_a_bad_batch_is_refused_as_a_whole(
    module_server: Server, collection: str, change: dict[str, Any], named: str
) -> None:
    leaves = ledger_leaves(module_server)
    body = {"CollectionId": collection, "Vectors": [[0.1] * DIMENSION], "CosineThreshold": 0.5} | change
    answer = module_server.post(BATCH, body)
    assert (answer.status, answer.error) == (400, "InvalidParameterException"), answer.body
    assert named in answer.message
    assert ledger_leaves(module_server) == leaves, "none of it is on record"


def ledger_leaves(server: Server) -> int:
    status: int = server.call("FacetService.GetStatus", {}).json["Ledger"]["TreeSize"]
    return status


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"x-facet-search-mode": "fast"}, "x-facet-search-mode"),
        ({"x-facet-search-mode": "exhaustive,routed"}, "x-facet-search-mode"),
        ({"x-facet-target-coverage": "0.9"}, "x-facet-target-coverage"),
        ({"x-facet-search-mode": "routed", "x-facet-target-coverage": "nan"}, "x-facet-target-coverage"),
        ({"x-facet-search-mode": "routed", "x-facet-target-coverage": "1.0"}, "x-facet-target-coverage"),
    ],
)
def test_a_bad_header_is_named(
    module_server: Server, collection: str, headers: dict[str, str], named: str
) -> None:
    body = {"CollectionId": collection, "Vector": [0.1] * DIMENSION}
    answer = module_server.post(ALONE, body, headers=headers)
    assert (answer.status, answer.error) == (400, "InvalidParameterException"), answer.body
    assert named in answer.message


def test_rekognitions_searches_take_the_header(module_server: Server, collection: str) -> None:
    client = module_server.client()
    made = client.index_faces(CollectionId=collection, Image={"Bytes": photo("obama.jpg")}, ExternalImageId="obama")
    face = made["FaceRecords"][0]["Face"]["FaceId"]
    routed = module_server.client("test", "1")
    routed.meta.events.register(
        "before-sign.rekognition",
        lambda request, **_: request.headers.add_header("x-facet-search-mode", "routed"),
    )
    found = routed.search_faces_by_image(CollectionId=collection, Image={"Bytes": photo("obama2.jpg")})
    assert [match["Face"]["FaceId"] for match in found["FaceMatches"]] == [face]
    for answer in (found, routed.search_faces(CollectionId=collection, FaceId=face)):
        coverage = answer["ResponseMetadata"]["HTTPHeaders"]["x-facet-coverage"]
        assert coverage == "shards=1/1 faces=1 mode=routed coverage=0.95 source=model buckets=1/1 sigmas=6"
