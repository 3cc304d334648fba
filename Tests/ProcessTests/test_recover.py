"""What operators do where copies or registers are lost: `facectl shard recover` and `control rebuild`."""

import base64
import json
from collections.abc import Callable
from http.client import HTTPSConnection
from pathlib import Path

from cluster import CLUSTER, Lab
from harness import Server, facectl, unit_vectors

COLLECTION = "recovered"


def operate(environment: dict[str, str], *arguments: str, fails: bool = False) -> str:
    done = facectl(*arguments, environment=environment)
    assert (done.returncode != 0) == fails, f"facectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def rot(log: Path) -> None:
    """One byte in the middle of what is written behind the header."""
    data = bytearray(log.read_bytes())
    used = len(data.rstrip(b"\0"))
    data[4_096 + (used - 4_096) // 2] ^= 0x41
    log.write_bytes(data)


def test_a_shard_goes_on_without_what_its_log_has_lost(make_server: Callable[..., Server]) -> None:
    server = make_server().start()
    server.client().create_collection(CollectionId=COLLECTION)
    vectors = unit_vectors(60, seed=3)
    for start in range(0, 60, 10):
        server.index_vectors(COLLECTION, vectors[start : start + 10], [f"f{start + index}" for index in range(10)])
    faces = server.face_ids(COLLECTION)
    [shard] = [path.name for path in (server.data / "shards").iterdir()]
    refused = operate(server.environment, "shard", "recover", shard[:8], "--accept-loss", fails=True)
    assert "counts and is whole" in refused, refused
    server.kill()
    [log] = (server.data / "shards" / shard / "wal").glob("*.log")
    rot(log)
    before = log.read_bytes()
    server.start(ready=False)
    plan = operate(server.environment, "shard", "recover", shard[:8])
    assert "is lost or altered" in plan and "Nothing is done yet" in plan, plan
    assert log.read_bytes() == before
    done = operate(server.environment, "shard", "recover", shard[:8], "--accept-loss")
    assert "goes on, in generation 1" in done, done
    server.wait_ready()
    left = server.face_ids(COLLECTION)
    assert 0 < len(left) < 60 and set(left) < set(faces)
    [match] = server.search_vector(COLLECTION, vectors[0], limit=1, cosine=0.99).json["FaceMatches"]
    assert match["Face"]["ExternalImageId"] == "f0"
    server.index_vectors(COLLECTION, vectors, [f"f{index}" for index in range(60)])
    assert len(server.face_ids(COLLECTION)) == 60
    # It stays so over a restart.
    server.kill()
    server.start()
    assert len(server.face_ids(COLLECTION)) == 60


def forget(lab: Lab, family: str) -> None:
    """Removes a family of registers from etcd, as a backup from before them would."""
    first, end = (base64.b64encode(f"facet/{CLUSTER}/{family}{last}".encode()).decode() for last in "/0")
    connection = HTTPSConnection(
        "127.0.0.1", lab.etcd[0].port, timeout=10, context=lab.certificates.identity("operator").client()
    )
    connection.request("POST", "/v3/kv/deleterange", json.dumps({"key": first, "range_end": end}))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert int(answer.get("deleted", 0)) > 0, answer


def test_registers_that_etcd_has_lost_are_made_anew(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(Lab, nodes=3, coordinators=1, copies=3)
    coordinator = lab.coordinators[0]
    coordinator.call("FacetService.CreateCollection", {"CollectionId": COLLECTION, "Shards": 1})
    vectors = unit_vectors(30, seed=5)
    faces = coordinator.index_vectors(COLLECTION, vectors, [f"f{index}" for index in range(30)])
    mine, coordinator.key = coordinator.key, lab.make_key(tenant="000000000000")
    operators = coordinator.environment
    assert "3 of 3" not in operate(operators, "control", "rebuild", "--dry-run")
    assert coordinator.stop() == 0 and not any([node.stop() for node in lab.nodes])
    for family in ("shard", "replica"):
        forget(lab, family)
    for node in lab.nodes:
        node.launch()
    for node in lab.nodes:
        node.wait_alive()
    coordinator.launch()
    coordinator.wait_alive()
    assert coordinator.get("/readyz").status == 503
    plan = operate(operators, "control", "rebuild", "--dry-run")
    assert plan.count("WOULD BE") == 1 and plan.count("made anew") == 2 and "(ledger)" in plan, plan
    said = operate(operators, "control", "rebuild")
    assert said.count("made anew") == 2, said
    coordinator.key = mine
    assert "operators' account" in operate(coordinator.environment, "control", "rebuild", fails=True)
    coordinator.wait_until("answering", lambda: coordinator.get("/readyz").status == 200, seconds=60)
    assert sorted(coordinator.face_ids(COLLECTION)) == sorted(faces)
    lab.wait_complete()
    coordinator.wait_until("whole", lambda: lab.shards(COLLECTION)[0]["CopiesInSync"] == 3)
    assert lab.shards(COLLECTION)[0]["Generation"] == 1
    assert "2 of 2 shards have registers as new as their copies know" in operate(operators, "control", "rebuild")
