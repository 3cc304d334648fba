"""A cluster is the same service as one process: what goes in at one coordinator is found through another, at once."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from cluster import Coordinator, Lab, total
from harness import ROOT, Key, Server, encode, facectl, photo, search_id, send, sign, unit_vectors

PHOTOS = "photos"
NAMES = ["obama", "obama3", "biden"]


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(log_level="debug")


@pytest.fixture
def pair(lab: Lab) -> tuple[Coordinator, Coordinator]:
    first, second = lab.coordinators
    return first, second


@pytest.fixture(scope="module")
def photos(lab: Lab) -> dict[str, str]:
    """FaceIds of photos that were enrolled through the first coordinator."""
    first = lab.coordinators[0]
    made = first.call("FacetService.CreateCollection", {"CollectionId": PHOTOS, "Shards": 4}).json
    assert made["StatusCode"] == 200
    ids = {}
    for name in NAMES:
        answer = first.client().index_faces(
            CollectionId=PHOTOS, Image={"Bytes": photo(name + ".jpg")}, ExternalImageId=name, MaxFaces=1
        )
        ids[name] = answer["FaceRecords"][0]["Face"]["FaceId"]
    return ids


def test_every_process_says_that_it_listens(lab: Lab) -> None:
    for process in [*lab.nodes, *lab.coordinators]:
        assert "facet: listening on" in process.log, process.label


def test_shards_are_spread_over_the_nodes(lab: Lab, photos: dict[str, str]) -> None:
    shards = lab.shards(PHOTOS)
    assert sorted(shard["Node"] for shard in shards) == ["node-1", "node-2", "node-3", "node-4"]
    assert sum(shard["Faces"] for shard in shards) == len(photos)


def test_what_one_enrols_the_other_finds(
    pair: tuple[Coordinator, Coordinator], photos: dict[str, str]
) -> None:
    found = pair[1].client("theft", "7").search_faces_by_image(
        CollectionId=PHOTOS, Image={"Bytes": photo("obama2.jpg")}, FaceMatchThreshold=80
    )
    assert {match["Face"]["FaceId"] for match in found["FaceMatches"]} == {photos["obama"], photos["obama3"]}
    assert "shards=4/4 faces=3 mode=exhaustive" in found["ResponseMetadata"]["HTTPHeaders"]["x-facet-coverage"]
    for coordinator in pair:
        assert set(coordinator.face_ids(PHOTOS)) == set(photos.values())
        assert coordinator.client().describe_collection(CollectionId=PHOTOS)["FaceCount"] == len(photos)


def test_each_write_is_seen_by_the_next_call_of_either(pair: tuple[Coordinator, Coordinator]) -> None:
    """A hundred times over: a promise that holds almost always is none."""
    pair[0].call("FacetService.CreateCollection", {"CollectionId": "promise", "Shards": 4})
    for turn, vector in enumerate(unit_vectors(100, seed=41)):
        writer, reader = pair[turn % 2], pair[1 - turn % 2]
        [face] = writer.index_vectors("promise", vector[None], [f"p{turn}"])
        [match] = reader.search_vector("promise", vector, cosine=0.99).json["FaceMatches"]
        assert match["Face"]["FaceId"] == face
        if turn % 3 == 0:
            gone = reader.call("RekognitionService.DeleteFaces", {"CollectionId": "promise", "FaceIds": [face]}).json
            assert gone["DeletedFaces"] == [face]
            assert writer.search_vector("promise", vector, cosine=0.99).json["FaceMatches"] == []
    pair[1].client().delete_collection(CollectionId="promise")
    assert "promise" not in pair[0].client().list_collections()["CollectionIds"]


def test_collections_made_through_one_are_used_through_the_other(pair: tuple[Coordinator, Coordinator]) -> None:
    for turn in range(5):
        maker, user = pair[turn % 2], pair[1 - turn % 2]
        maker.client().create_collection(CollectionId="brief")
        [face] = user.index_vectors("brief", unit_vectors(1, seed=turn), ["only"])
        assert maker.face_ids("brief") == [face]
        user.client().delete_collection(CollectionId="brief")
        answer = maker.post("FacetService.SearchByVector", {"CollectionId": "brief", "Vector": [1.0] + [0.0] * 127})
        assert (answer.status, answer.error) == (400, "ResourceNotFoundException"), answer.body


def test_a_search_is_on_record_through_both(
    pair: tuple[Coordinator, Coordinator], photos: dict[str, str]
) -> None:
    answer = pair[0].client("shoplifting", "2026-17").search_faces_by_image(
        CollectionId=PHOTOS, Image={"Bytes": photo("obama2.jpg")}
    )
    search = search_id(answer)
    records = [coordinator.search_record(search).json for coordinator in pair]
    for record in records:
        text = json.dumps(record)
        for expected in (search, "shoplifting", "2026-17", "tester", PHOTOS, photos["obama"]):
            assert expected in text, expected
        assert (record["Result"]["ShardsAsked"], record["Result"]["ShardsAnswered"]) == (4, 4)
    assert [record["Intent"] for record in records] == [records[0]["Intent"]] * 2
    for coordinator in pair:
        proved = facectl("ledger", "prove", search, environment=coordinator.environment)
        assert proved.returncode == 0 and "verif" in proved.stdout.lower(), proved.stdout + proved.stderr


def test_the_answers_are_those_of_one_process(
    pair: tuple[Coordinator, Coordinator], make_server: Callable[..., Server]
) -> None:
    """Equal candidates in equal order. The collections' secrets differ, and with them the last bits of a cosine; the
    two coordinators' answers are equal to the last bit."""
    gallery, probes = unit_vectors(200, seed=42), unit_vectors(50, seed=43)
    names = [f"v{index}" for index in range(len(gallery))]
    server = make_server().start()
    server.client().create_collection(CollectionId="same")
    server.index_vectors("same", gallery, names)
    pair[0].call("FacetService.CreateCollection", {"CollectionId": "same", "Shards": 4})
    pair[0].index_vectors("same", gallery, names)
    for probe in probes:
        one, *both = (
            [
                (match["Face"]["ExternalImageId"], match["Cosine"])
                for match in caller.search_vector("same", probe, limit=30, cosine=-1).json["FaceMatches"]
            ]
            for caller in (server, *pair)
        )
        assert both[0] == both[1]
        assert [name for name, _ in both[0]] == [name for name, _ in one]
        assert [cosine for _, cosine in both[0]] == pytest.approx([cosine for _, cosine in one], abs=1e-6)


def test_equal_vectors_in_every_shard_are_ordered_by_face_id(pair: tuple[Coordinator, Coordinator]) -> None:
    pair[0].call("FacetService.CreateCollection", {"CollectionId": "ties", "Shards": 4})
    [vector] = unit_vectors(1, seed=44)
    ids = pair[0].index_vectors("ties", np.repeat(vector[None], 40, axis=0), [f"t{index}" for index in range(40)])
    matches = pair[1].search_vector("ties", vector, limit=25, cosine=0.9).json["FaceMatches"]
    assert [match["Face"]["FaceId"] for match in matches] == sorted(ids)[:25]


def test_pages_go_on_at_the_other_coordinator(pair: tuple[Coordinator, Coordinator]) -> None:
    pair[0].call("FacetService.CreateCollection", {"CollectionId": "pages", "Shards": 4})
    ids = pair[0].index_vectors("pages", unit_vectors(90, seed=45), [f"p{index}" for index in range(90)])
    found: list[str] = []
    token: str | None = None
    for turn in range(9):
        body = {"CollectionId": "pages", "MaxResults": 10} | ({"NextToken": token} if token else {})
        page = pair[turn % 2].call("RekognitionService.ListFaces", body).json
        found += [face["FaceId"] for face in page["Faces"]]
        token = page.get("NextToken")
    assert not token
    assert found == sorted(ids)


@pytest.mark.parametrize("shards", [0, 257, 4.5, "4"])
def test_a_wrong_number_of_shards_is_refused(pair: tuple[Coordinator, Coordinator], shards: object) -> None:
    answer = pair[0].post("FacetService.CreateCollection", {"CollectionId": "wrong", "Shards": shards})
    assert (answer.status, answer.error) == (400, "InvalidParameterException"), answer.body
    assert "Shards" in answer.message


def test_leave_to_be_partial_must_be_signed_and_clear(lab: Lab, pair: tuple[Coordinator, Coordinator]) -> None:
    body = {"CollectionId": PHOTOS, "Vector": [1.0] + [0.0] * 127}
    answer = pair[0].post("FacetService.SearchByVector", body, headers={"x-facet-partial": "yes"})
    assert (answer.status, answer.error) == (400, "InvalidParameterException"), answer.body
    data = json.dumps(body).encode()
    key = pair[0].key
    assert key
    headers = sign(pair[0].endpoint, "FacetService.SearchByVector", data, key, {}) | {"x-facet-partial": "allow"}
    answer = send(pair[0].endpoint, "POST", "/", data, headers)
    assert (answer.status, answer.error) == (400, "InvalidSignatureException"), answer.body


def test_a_key_made_now_works_at_once_and_revoked_no_more(lab: Lab, pair: tuple[Coordinator, Coordinator]) -> None:
    """Coordinators follow the registers; each must have heard within moments."""
    config = ("--config", str(lab.config))
    made = facectl("keys", "create", "--person", "nina", "--role", "searcher", *config, "--json")
    assert made.returncode == 0, made.stderr
    assert "nina" in facectl("keys", "list", *config).stdout
    document = json.loads(made.stdout)
    key = Key(document["AccessKeyId"], document["SecretAccessKey"])

    def is_known(coordinator: Coordinator) -> bool:
        answer = coordinator.post("RekognitionService.DescribeCollection", {"CollectionId": "no-such"}, key=key)
        return answer.error != "UnrecognizedClientException"

    for coordinator in pair:
        coordinator.wait_until("told of the new key", lambda coordinator=coordinator: is_known(coordinator))
    assert facectl("keys", "revoke", key.access_key_id, *config).returncode == 0
    for coordinator in pair:
        coordinator.wait_until("told that it is revoked", lambda coordinator=coordinator: not is_known(coordinator))


def test_a_request_id_is_in_the_logs_of_every_hop(lab: Lab, pair: tuple[Coordinator, Coordinator]) -> None:
    answer = pair[0].search_vector(PHOTOS, unit_vectors(1, seed=46)[0])
    request = f"request={answer.headers['x-amzn-requestid']}"
    assert request in pair[0].log and request not in pair[1].log
    for node in lab.nodes:
        lines = [line for line in node.log.splitlines() if request in line]
        assert any("method=search" in line for line in lines), node.label
        assert any("method=append" in line for line in lines) == (node.label == "node-1"), "the ledger's node"


def test_metrics_of_every_process_are_prometheus_text(lab: Lab, photos: dict[str, str]) -> None:
    table = (ROOT / "docs/metrics.md").read_text()
    for process in [*lab.nodes, *lab.coordinators]:
        text = process.get("/metrics").body.decode()
        names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
        assert names and all(name.startswith("facet_") for name in names), names
        assert not [name for name in names if f"`{name}`" not in table], "docs/metrics.md names every metric"
    assert total(lab.coordinators[0].metrics(), "facet_nodes") == 4
    assert total(lab.coordinators[0].metrics(), "facet_complete") == 1


def test_status_shows_every_node_and_shard(pair: tuple[Coordinator, Coordinator], photos: dict[str, str]) -> None:
    shown = facectl("status", environment=pair[1].environment)
    assert shown.returncode == 0, shown.stderr
    for expected in ("node-1", "node-2", "node-3", "node-4", PHOTOS):
        assert expected in shown.stdout, shown.stdout


def test_no_process_logs_a_secret(lab: Lab, pair: tuple[Coordinator, Coordinator], photos: dict[str, str]) -> None:
    vector = unit_vectors(1, seed=47)[0]
    pair[0].call("FacetService.CreateCollection", {"CollectionId": "quiet", "Shards": 2})
    pair[0].index_vectors("quiet", vector[None], ["a-person-s-name"])
    pair[1].search_vector("quiet", vector)
    key = pair[0].key
    assert key
    for process in lab.processes:
        for secret in (key.secret_access_key, encode(vector), "a-person-s-name"):
            assert secret not in process.log, f"{process.label} logs {secret[:8]}…"
