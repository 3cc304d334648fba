"""facectl where the key, the server or its answers are not what they should be."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import PHOTOS, Server, create_key, facectl


@contextmanager
def impostor(answers: dict[str, bytes]) -> Iterator[str]:
    """A server that gives the same answer to an operation whatever was asked; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = answers[self.headers["X-Amz-Target"]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_key_that_may_not_enrol_settles_no_photo(
    module_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    module_server.client().create_collection(CollectionId="roles")
    album = tmp_path / "album"
    album.mkdir()
    shutil.copy(PHOTOS / "obama.jpg", album / "obama.jpg")
    searcher = create_key(module_server.data, role="searcher")
    environment = module_server.environment | {
        "AWS_ACCESS_KEY_ID": searcher.access_key_id, "AWS_SECRET_ACCESS_KEY": searcher.secret_access_key,
    }
    command = ("import", str(album), "--collection", "roles")
    refused = facectl(*command, environment=environment)
    assert refused.returncode == 1 and "AccessDeniedException" in refused.stderr
    assert module_server.face_ids("roles") == []
    done = facectl(*command, environment=module_server.environment)
    assert done.returncode == 0, done.stderr
    assert len(module_server.face_ids("roles")) == 1, "the photo was taken for done when nobody was allowed to enrol it"


def test_the_proof_of_another_search_is_none(module_server: Server) -> None:
    client = module_server.client(purpose="test", case="1")
    client.create_collection(CollectionId="proofs")
    image = {"Bytes": (PHOTOS / "obama.jpg").read_bytes()}
    searches = [
        client.search_faces_by_image(CollectionId="proofs", Image=image)["ResponseMetadata"]["HTTPHeaders"][
            "x-facet-search-id"
        ]
        for _ in range(2)
    ]
    proof = module_server.call("FacetService.GetInclusionProof", {"SearchId": searches[0]})
    status = module_server.call("FacetService.GetStatus", {})
    answers = {"FacetService.GetInclusionProof": proof.body, "FacetService.GetStatus": status.body}
    with impostor(answers) as address:
        environment = module_server.environment | {"FACET_ENDPOINT": address}
        right = facectl("ledger", "prove", searches[0], environment=environment)
        wrong = facectl("ledger", "prove", searches[1], environment=environment)
    assert right.returncode == 0, right.stderr
    assert wrong.returncode == 3 and searches[0] in wrong.stderr, wrong.stdout + wrong.stderr


def test_keys_of_a_mistyped_directory_are_an_error(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    listed = facectl("keys", "list", "--data", str(elsewhere))
    assert listed.returncode == 1 and str(elsewhere) in listed.stderr
    assert not elsewhere.exists()
