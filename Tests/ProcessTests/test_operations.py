"""Every operation by an unmodified boto3, success and error, with each response checked against AWS's model."""

import uuid

import boto3
import pytest

from harness import REGION, Server, photo

OPERATIONS = {
    "CreateCollection", "DescribeCollection", "ListCollections", "DeleteCollection", "IndexFaces", "ListFaces",
    "DeleteFaces", "SearchFaces", "SearchFacesByImage",
}
UNKNOWN_FACE = "00000000-0000-4000-8000-000000000000"


def test_the_endpoint_variable_is_all_a_client_needs(module_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in module_server.environment.items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("rekognition")
    assert client.meta.region_name == REGION
    assert "CollectionIds" in client.list_collections()


def test_collections(module_server: Server) -> None:
    client = module_server.client()
    made = client.create_collection(CollectionId="life", Tags={"site": "north"})
    assert made["StatusCode"] == 200
    assert made["CollectionArn"].endswith(":collection/life")
    assert made["FaceModelVersion"]
    with pytest.raises(client.exceptions.ResourceAlreadyExistsException):
        client.create_collection(CollectionId="life")
    described = client.describe_collection(CollectionId="life")
    assert described["FaceCount"] == 0
    assert described["CollectionARN"] == made["CollectionArn"]
    assert described["CreationTimestamp"].year >= 2024
    listed = client.list_collections()
    assert len(listed["CollectionIds"]) == len(listed["FaceModelVersions"])
    assert "life" in listed["CollectionIds"]
    assert client.delete_collection(CollectionId="life")["StatusCode"] == 200
    assert "life" not in client.list_collections()["CollectionIds"]


def test_faces(module_server: Server, collection: str) -> None:
    client = module_server.client("booking check", "case-1")
    made = client.index_faces(
        CollectionId=collection, Image={"Bytes": photo("obama.jpg")}, ExternalImageId="obama",
        DetectionAttributes=["ALL"], MaxFaces=1,
    )
    assert made["UnindexedFaces"] == []
    [record] = made["FaceRecords"]
    face = record["Face"]
    assert face["ExternalImageId"] == "obama"
    assert face["Confidence"] > 50
    assert len(record["FaceDetail"]["Landmarks"]) >= 5
    listed = client.list_faces(CollectionId=collection)
    assert [item["FaceId"] for item in listed["Faces"]] == [face["FaceId"]]
    only = client.list_faces(CollectionId=collection, FaceIds=[UNKNOWN_FACE, face["FaceId"]])
    assert [item["FaceId"] for item in only["Faces"]] == [face["FaceId"]]

    found = client.search_faces_by_image(CollectionId=collection, Image={"Bytes": photo("obama2.jpg")})
    assert [match["Face"]["FaceId"] for match in found["FaceMatches"]] == [face["FaceId"]]
    assert found["FaceMatches"][0]["Similarity"] >= 99
    assert found["SearchedFaceConfidence"] > 50
    assert found["SearchedFaceBoundingBox"]["Width"] > 0
    assert client.search_faces(CollectionId=collection, FaceId=face["FaceId"])["FaceMatches"] == []

    gone = client.delete_faces(CollectionId=collection, FaceIds=[face["FaceId"], UNKNOWN_FACE])
    assert gone["DeletedFaces"] == [face["FaceId"]]
    [failure] = gone["UnsuccessfulFaceDeletions"]
    assert (failure["FaceId"], failure["Reasons"]) == (UNKNOWN_FACE, ["FACE_NOT_FOUND"])
    again = client.delete_faces(CollectionId=collection, FaceIds=[face["FaceId"]])
    assert again["DeletedFaces"] == []


def test_biden_is_not_obama(module_server: Server, collection: str) -> None:
    client = module_server.client("booking check", "case-1")
    for name in ("obama", "biden"):
        client.index_faces(CollectionId=collection, Image={"Bytes": photo(name + ".jpg")}, ExternalImageId=name)
    found = client.search_faces_by_image(
        CollectionId=collection, Image={"Bytes": photo("obama2.jpg")}, FaceMatchThreshold=0
    )
    similarity = {match["Face"]["ExternalImageId"]: match["Similarity"] for match in found["FaceMatches"]}
    assert similarity["obama"] >= 99
    assert similarity.get("biden", 0) < 80


@pytest.mark.parametrize("name", sorted(OPERATIONS - {"CreateCollection", "ListCollections"}))
def test_an_unknown_collection_is_not_found(module_server: Server, name: str) -> None:
    client = module_server.client("test", "1")
    arguments = {
        "IndexFaces": {"Image": {"Bytes": photo("obama.jpg")}},
        "SearchFacesByImage": {"Image": {"Bytes": photo("obama.jpg")}},
        "SearchFaces": {"FaceId": UNKNOWN_FACE},
        "DeleteFaces": {"FaceIds": [UNKNOWN_FACE]},
    }
    operation = getattr(client, "".join("_" + c.lower() if c.isupper() else c for c in name)[1:])
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        operation(CollectionId="no-such-collection", **arguments.get(name, {}))


def test_a_bad_page_token_is_named(module_server: Server, collection: str) -> None:
    client = module_server.client()
    for call in (client.list_collections, lambda **page: client.list_faces(CollectionId=collection, **page)):
        with pytest.raises(client.exceptions.InvalidPaginationTokenException):
            call(NextToken="bm90IG91cnM=")


def test_an_s3_image_is_refused(module_server: Server, collection: str) -> None:
    client = module_server.client("test", "1")
    image = {"S3Object": {"Bucket": "photos", "Name": "a.jpg"}}
    for call in (client.index_faces, client.search_faces_by_image):
        with pytest.raises(client.exceptions.InvalidS3ObjectException):
            call(CollectionId=collection, Image=image)


@pytest.mark.parametrize("name", ["DetectText", "StartFaceSearch", "NoSuchOperation", "CreateUser"])
def test_other_operations_are_unknown(module_server: Server, name: str) -> None:
    answer = module_server.post("RekognitionService." + name, {})
    assert (answer.status, answer.error) == (400, "UnknownOperationException")
    assert answer.message


def test_other_targets_and_paths_are_refused(module_server: Server) -> None:
    for target in ("", "RekognitionService", "DynamoDB_20120810.ListTables", "FacetService.Nothing"):
        answer = module_server.post(target, {})
        assert (answer.status, answer.error) == (400, "UnknownOperationException"), target
    assert module_server.get("/no-such-page").status == 404


def test_health_and_metrics(module_server: Server) -> None:
    assert module_server.get("/livez").status == 200
    assert module_server.get("/readyz").status == 200
    metrics = module_server.get("/metrics")
    assert metrics.status == 200
    assert b"# TYPE facet_" in metrics.body


def test_request_ids_differ(module_server: Server) -> None:
    ids = {module_server.call("RekognitionService.ListCollections", {}).headers["x-amzn-requestid"] for _ in range(3)}
    assert len(ids) == 3
    assert all(uuid.UUID(text) for text in ids)


def test_every_operation_was_seen_with_success_and_error(module_server: Server) -> None:
    """Runs last in this module: coverage of the response checker."""
    seen = module_server.findings.seen
    assert {name for name, status in seen if status == 200} >= OPERATIONS
    assert {name for name, status in seen if status == 400} >= OPERATIONS - {"ListCollections"}
    assert ("ListCollections", "InvalidPaginationTokenException") in module_server.findings.errors
    assert module_server.findings.bad == []
