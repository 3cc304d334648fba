"""facectl as an operator uses it: keys, collections, import, search, ledger, status."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import PHOTOS, Server, facectl, photo
from images import png

COLLECTION = "desk"


def run(server: Server, *arguments: str) -> str:
    """Runs a command that must succeed; returns what it printed."""
    done = facectl(*arguments, environment=server.environment)
    assert done.returncode == 0, f"facectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def run_json(server: Server, *arguments: str) -> Any:
    return json.loads(run(server, *arguments, "--json"))


def fails(server: Server, *arguments: str) -> str:
    done = facectl(*arguments, environment=server.environment)
    assert done.returncode not in (0, -6, -11), done.stdout
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos in sub-folders, one of them with a name that is no ExternalImageId, and what is no photo of a face."""
    album = tmp_path_factory.mktemp("album")
    (album / "2026").mkdir()
    (album / "a folder").mkdir()
    shutil.copy(PHOTOS / "obama.jpg", album / "2026/obama.jpg")
    shutil.copy(PHOTOS / "biden.jpg", album / "a folder/joe biden.jpg")
    (album / "wall.png").write_bytes(png(300, 200))
    (album / "broken.jpg").write_bytes(photo("obama.jpg")[:5000])
    (album / "notes.txt").write_text("not a photo")
    return album


@pytest.fixture(scope="module")
def desk(module_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        module_server.client().create_collection(CollectionId=COLLECTION)
        yield module_server


def test_import_reports_and_resumes(desk: Server, album: Path) -> None:
    first = run(desk, "import", str(album), "--collection", COLLECTION)
    assert "wall.png" in first, "a photo without a face is in the report"
    assert "broken.jpg" in first, "a photo that cannot be read is in the report"
    faces = desk.client().list_faces(CollectionId=COLLECTION)["Faces"]
    assert len(faces) == 2
    names = {face["ExternalImageId"] for face in faces}
    assert any("2026" in name and "obama" in name for name in names)
    again = run(desk, "import", str(album), "--collection", COLLECTION)
    assert len(desk.client().list_faces(CollectionId=COLLECTION)["Faces"]) == 2
    assert again
    shutil.copy(PHOTOS / "obama3.jpg", album / "2026/later.jpg")
    run(desk, "import", str(album), "--collection", COLLECTION)
    assert len(desk.client().list_faces(CollectionId=COLLECTION)["Faces"]) == 3


def test_collections_are_listed_shown_and_deleted(desk: Server) -> None:
    desk.client().create_collection(CollectionId="to-delete")
    assert COLLECTION in run(desk, "collection", "list")
    assert COLLECTION in json.dumps(run_json(desk, "collection", "list"))
    shown = run_json(desk, "collection", "show", COLLECTION)
    assert COLLECTION in json.dumps(shown)
    run(desk, "collection", "delete", "to-delete", "--yes")
    assert "to-delete" not in run(desk, "collection", "list")
    assert "no-such" in fails(desk, "collection", "show", "no-such")


def test_a_search_is_shown_as_leads_and_stands_in_the_ledger(desk: Server) -> None:
    arguments = (
        "search", str(PHOTOS / "obama2.jpg"), "--collection", COLLECTION, "--purpose", "theft", "--case", "2026-44",
    )
    table = run(desk, *arguments)
    assert "obama" in table and "not identification" in table
    answer = run_json(desk, *arguments)
    search = answer["SearchId"]
    record = run(desk, "ledger", "show", search)
    assert "theft" in record and "2026-44" in record
    assert run_json(desk, "ledger", "show", search)
    assert "verif" in run(desk, "ledger", "prove", search).lower()
    assert run_json(desk, "ledger", "prove", search)
    assert fails(desk, "ledger", "show", "00000000-0000-4000-8000-000000000000")


def test_a_search_without_a_face_says_so(desk: Server, tmp_path: Path) -> None:
    wall = tmp_path / "wall.png"
    wall.write_bytes(png(300, 200))
    said = fails(desk, "search", str(wall), "--collection", COLLECTION, "--purpose", "theft", "--case", "1")
    assert "no faces" in said
    missing = tmp_path / "missing.jpg"
    assert "missing.jpg" in fails(
        desk, "search", str(missing), "--collection", COLLECTION, "--purpose", "theft", "--case", "1"
    )


def test_status(desk: Server) -> None:
    assert COLLECTION in run(desk, "status")
    assert run_json(desk, "status")


def test_keys_are_created_listed_and_revoked(desk: Server) -> None:
    data = ("--data", str(desk.data))
    made = run_json(desk, "keys", "create", "--person", "nina", "--role", "admin", *data)
    listed = run(desk, "keys", "list", *data)
    assert "nina" in listed and made["AccessKeyId"] in listed
    assert made["SecretAccessKey"] not in listed
    assert made["SecretAccessKey"] not in json.dumps(run_json(desk, "keys", "list", *data))
    run(desk, "keys", "revoke", made["AccessKeyId"], *data)
    again = fails(desk, "keys", "revoke", "AKIAAAAAAAAAAAAAAAAA", *data)
    assert "AKIAAAAAAAAAAAAAAAAA" in again


def test_wrong_use_says_what_is_right(desk: Server) -> None:
    assert "--role" in fails(desk, "keys", "create", "--person", "x", "--role", "king", "--data", str(desk.data))
    assert "search" in run(desk, "--help")
    nowhere = {**desk.environment, "FACET_ENDPOINT": "http://127.0.0.1:1"}
    said = facectl("status", environment=nowhere, timeout=30)
    assert said.returncode != 0 and "127.0.0.1:1" in said.stderr
    said = facectl("status", environment={"FACET_ENDPOINT": desk.endpoint})
    assert said.returncode != 0 and "AWS_ACCESS_KEY_ID" in said.stderr
