"""What the shapes cannot say: order, thresholds, counts, identity, and agreement with brute force."""

import json

import numpy as np
import pytest

from harness import CallFailed, Server, encode, photo, unit_vectors

NAMES = ["obama", "obama3", "biden"]


@pytest.fixture
def enrolled(module_server: Server, collection: str) -> dict[str, str]:
    client = module_server.client()
    ids = {}
    for name in NAMES:
        made = client.index_faces(
            CollectionId=collection, Image={"Bytes": photo(name + ".jpg")}, ExternalImageId=name, MaxFaces=1
        )
        ids[name] = made["FaceRecords"][0]["Face"]["FaceId"]
    return ids


def test_matches_are_sorted_cut_and_without_the_query(
    module_server: Server, collection: str, enrolled: dict[str, str]
) -> None:
    client = module_server.client("test", "1")
    every = client.search_faces(CollectionId=collection, FaceId=enrolled["obama"], FaceMatchThreshold=0)["FaceMatches"]
    assert enrolled["obama"] not in [match["Face"]["FaceId"] for match in every]
    similarities = [match["Similarity"] for match in every]
    assert similarities == sorted(similarities, reverse=True)
    assert every[0]["Face"]["FaceId"] == enrolled["obama3"]
    one = client.search_faces(
        CollectionId=collection, FaceId=enrolled["obama"], FaceMatchThreshold=0, MaxFaces=1
    )["FaceMatches"]
    assert one == every[:1]
    threshold = similarities[0]
    above = client.search_faces(CollectionId=collection, FaceId=enrolled["obama"], FaceMatchThreshold=threshold - 0.01)
    assert [match["Similarity"] for match in above["FaceMatches"]] == [s for s in similarities if s >= threshold - 0.01]


def test_counts_agree(module_server: Server, collection: str, enrolled: dict[str, str]) -> None:
    client = module_server.client()
    assert client.describe_collection(CollectionId=collection)["FaceCount"] == len(enrolled)
    assert set(module_server.face_ids(collection)) == set(enrolled.values())
    client.delete_faces(CollectionId=collection, FaceIds=[enrolled["biden"]])
    assert client.describe_collection(CollectionId=collection)["FaceCount"] == len(enrolled) - 1


def test_enrolling_a_photo_again_makes_no_second_face(
    module_server: Server, collection: str, enrolled: dict[str, str]
) -> None:
    client = module_server.client()
    image = {"Bytes": photo("obama.jpg")}
    again = client.index_faces(CollectionId=collection, Image=image, ExternalImageId="obama", MaxFaces=1)
    assert again["FaceRecords"][0]["Face"]["FaceId"] == enrolled["obama"]
    other = client.index_faces(CollectionId=collection, Image=image, ExternalImageId="other", MaxFaces=1)
    assert other["FaceRecords"][0]["Face"]["FaceId"] != enrolled["obama"]
    assert other["FaceRecords"][0]["Face"]["ImageId"] == again["FaceRecords"][0]["Face"]["ImageId"]
    assert client.describe_collection(CollectionId=collection)["FaceCount"] == len(enrolled) + 1


def test_a_deleted_face_is_not_found_and_returns_under_a_new_id(
    module_server: Server, collection: str, enrolled: dict[str, str]
) -> None:
    client = module_server.client("test", "1")
    client.delete_faces(CollectionId=collection, FaceIds=[enrolled["obama"]])
    found = client.search_faces_by_image(
        CollectionId=collection, Image={"Bytes": photo("obama.jpg")}, FaceMatchThreshold=0
    )
    assert enrolled["obama"] not in [match["Face"]["FaceId"] for match in found["FaceMatches"]]
    made = client.index_faces(
        CollectionId=collection, Image={"Bytes": photo("obama.jpg")}, ExternalImageId="obama", MaxFaces=1
    )
    assert made["FaceRecords"][0]["Face"]["FaceId"] != enrolled["obama"]


def test_an_enrolment_that_is_repeated_is_answered_as_it_was(module_server: Server, collection: str) -> None:
    """As SDKs do where the answer was lost: under the same invocation id. Meanwhile somebody has deleted the faces."""
    vectors = unit_vectors(3, seed=11)
    items = [{"ExternalImageId": f"r{number}", "Vector": encode(vector)} for number, vector in enumerate(vectors)]

    def enrol(invocation: str, chosen: list[dict[str, str]]) -> list[str]:
        body = {"CollectionId": collection, "Vectors": chosen}
        answer = module_server.call("FacetService.IndexVectors", body, {"amz-sdk-invocation-id": invocation}).json
        return [record["Face"]["FaceId"] for record in answer["FaceRecords"]]

    ids = enrol("one", items)
    client = module_server.client("test", "1")
    client.delete_faces(CollectionId=collection, FaceIds=ids)
    assert enrol("one", items) == ids
    assert client.list_faces(CollectionId=collection, FaceIds=ids)["Faces"] == [], "a deleted face is back"
    # Another body is another request, whatever it calls itself, and so is another invocation.
    assert enrol("one", items[:1])[0] not in ids
    assert not set(enrol("two", items)) & set(ids)


def test_searches_agree_with_brute_force(module_server: Server, collection: str) -> None:
    gallery = unit_vectors(700, seed=1)
    names = [f"v{index}" for index in range(len(gallery))]
    for start in range(0, len(gallery), 250):
        module_server.index_vectors(collection, gallery[start : start + 250], names[start : start + 250])
    probes = np.vstack([unit_vectors(20, seed=2), gallery[:20] + 0.05 * unit_vectors(20, seed=3)])
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    for probe in probes:
        cosines = gallery.astype(np.float64) @ probe.astype(np.float64)
        best = np.argsort(-cosines)[:10]
        matches = module_server.search_vector(collection, probe, limit=10, cosine=-1).json["FaceMatches"]
        assert [match["Face"]["ExternalImageId"] for match in matches] == [names[index] for index in best]
        assert [match["Cosine"] for match in matches] == pytest.approx(list(cosines[best]), abs=1e-5)


def test_similarity_is_the_stated_calibration(module_server: Server, collection: str) -> None:
    """Cosine .360, .415, .470 and .525 of the default model are 80, 90, 95 and 99; 1 is 100."""
    base, other = np.eye(128, dtype=np.float32)[:2]
    steps = {0.360: 80, 0.415: 90, 0.470: 95, 0.525: 99, 1.0: 100}
    gallery = np.array([cosine * base + np.sqrt(1 - cosine**2) * other for cosine in steps], dtype=np.float32)
    module_server.index_vectors(collection, gallery, [f"s{value}" for value in steps.values()])
    matches = module_server.search_vector(collection, base, cosine=0.1).json["FaceMatches"]
    assert [match["Face"]["ExternalImageId"] for match in matches] == ["s100", "s99", "s95", "s90", "s80"]
    assert [match["Similarity"] for match in matches] == pytest.approx([100, 99, 95, 90, 80], abs=0.01)


def test_the_answer_states_strangers_and_coverage(
    module_server: Server, collection: str, enrolled: dict[str, str]
) -> None:
    client = module_server.client("test", "1")
    strangers = {}
    for threshold in (80, 99):
        answer = client.search_faces(
            CollectionId=collection, FaceId=enrolled["obama"], FaceMatchThreshold=threshold
        )
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        strangers[threshold] = float(headers["x-facet-expected-strangers"])
        assert "shards=1/1" in headers["x-facet-coverage"]
        assert "mode=exhaustive" in headers["x-facet-coverage"]
    assert strangers[80] == pytest.approx(len(enrolled) * 1e-3, rel=0.5)
    assert strangers[99] == pytest.approx(len(enrolled) * 1e-6, rel=0.5)


@pytest.mark.parametrize(
    ("name", "vector"),
    [
        ("short", [1.0] * 127),
        ("long", [1.0] * 129),
        ("zero", [0.0] * 128),
        ("none", []),
        ("text", "not base64!"),
        ("half a number", "AAAAAAA="),
        ("infinite", encode(np.array([np.inf] + [0] * 127))),
        ("not a number", encode(np.array([np.nan] + [0] * 127))),
        ("words", ["1"] * 128),
        ("huge", [1e39] * 128),
    ],
)
def test_a_bad_vector_is_refused_by_index(module_server: Server, collection: str, name: str, vector: object) -> None:
    good = [1.0] + [0.0] * 127
    body = {"CollectionId": collection, "Vectors": [{"Vector": good}, {"Vector": vector}]}
    answer = module_server.post("FacetService.IndexVectors", body)
    assert (answer.status, answer.error) == (400, "InvalidParameterException"), answer.body
    assert "1" in answer.message, "the index of the vector is named"
    answer = module_server.post("FacetService.SearchByVector", {"CollectionId": collection, "Vector": vector})
    assert (answer.status, answer.error) == (400, "InvalidParameterException"), answer.body
    assert module_server.face_ids(collection) == [], "nothing of a refused request is enrolled"


def test_vectors_as_numbers_and_as_base64_are_the_same(module_server: Server, collection: str) -> None:
    [vector] = unit_vectors(1, seed=4)
    numbers = [float(value) for value in vector]
    target = "FacetService.IndexVectors"
    ids = [
        module_server.call(target, {"CollectionId": collection, "Vectors": [{"ExternalImageId": "a", "Vector": form}]})
        .json["FaceRecords"][0]["Face"]["FaceId"]
        for form in (numbers, encode(vector))
    ]
    assert ids[0] == ids[1]


def test_at_most_a_thousand_vectors_a_call(module_server: Server, collection: str) -> None:
    vectors = unit_vectors(1001, seed=5)
    names = [f"n{index}" for index in range(1001)]
    with pytest.raises(CallFailed) as refused:
        module_server.index_vectors(collection, vectors, names)
    assert refused.value.response.error == "InvalidParameterException"
    assert len(module_server.index_vectors(collection, vectors[:1000], names[:1000])) == 1000


def test_a_search_is_on_record(module_server: Server, collection: str, enrolled: dict[str, str]) -> None:
    client = module_server.client("shoplifting", "2026-17")
    answer = client.search_faces_by_image(CollectionId=collection, Image={"Bytes": photo("obama2.jpg")})
    search = answer["ResponseMetadata"]["HTTPHeaders"]["x-facet-search-id"]
    record = module_server.search_record(search)
    assert record.status == 200
    text = json.dumps(record.json)
    for expected in (search, "shoplifting", "2026-17", "tester", collection, enrolled["obama"]):
        assert expected in text, expected
    proof = module_server.call("FacetService.GetInclusionProof", {"SearchId": search})
    assert proof.json
    unknown = module_server.search_record("00000000-0000-4000-8000-000000000000")
    assert (unknown.status, unknown.error) == (400, "ResourceNotFoundException")
