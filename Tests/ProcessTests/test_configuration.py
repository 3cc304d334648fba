"""Start-up that cannot work says what is wrong, where, and what is allowed."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import EXECUTABLES, ROOT, Server, clean_environment


# sysexits.h: EX_CONFIG.
BAD_CONFIGURATION = 78


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Starts a server that is expected to end by itself."""
    return subprocess.run(
        [str(EXECUTABLES / "coordinator"), "--embedded", *arguments],
        cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=20, check=False,
    )


@pytest.mark.parametrize(
    ("text", "key", "allowed"),
    [
        ("listen: {port: 70000}", "listen.port", "65535"),
        ("listen: {port: many}", "listen.port", "65535"),
        ("listen: 8900", "listen", "mapping"),
        ("log: {level: loud}", "log.level", "info"),
        ("search: {threads: 0}", "search.threads", "1"),
        ("extractor: {processes: -1}", "extractor.processes", "1"),
        ("extractor: {modles: x}", "extractor.modles", "models"),
        ("date: .facet", "date", "data"),
        ("data: [1]", "data", "text"),
        ("data: ''", "data", "empty"),
        ("- data", "", "mapping"),
        ("data: [", "", "YAML"),
    ],
)
def test_a_bad_key_is_named(tmp_path: Path, text: str, key: str, allowed: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text + "\n")
    ended = start("--config", str(file))
    assert ended.returncode == BAD_CONFIGURATION, ended.stderr
    said = ended.stderr + ended.stdout
    assert str(file) in said
    assert key in said
    assert re.search(re.escape(allowed), said.replace("_", "")), said


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    ended = start("--config", str(tmp_path / "none.yaml"))
    assert ended.returncode == BAD_CONFIGURATION
    assert "none.yaml" in ended.stderr + ended.stdout


@pytest.mark.parametrize(("key", "value"), [("models", "no-such-models"), ("library", "no-such-library.so"),
                                            ("executable", "no-such-extractor")])
def test_missing_parts_are_named(tmp_path: Path, key: str, value: str) -> None:
    file = tmp_path / "parts.yaml"
    file.write_text(f"data: {tmp_path / 'data'}\nextractor: {{{key}: {tmp_path / value}}}\n")
    ended = start("--config", str(file), "--port", "1")
    assert ended.returncode == 1
    assert value in ended.stderr + ended.stdout


def test_a_port_in_use_is_named(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server().start()
    ended = start(
        "--config", "cluster-configs/embedded.yaml", "--data", str(tmp_path / "other"), "--port", str(server.port)
    )
    assert ended.returncode == 1
    said = ended.stderr + ended.stdout
    assert str(server.port) in said
    assert "--port" in said


def test_a_data_directory_in_use_is_named(make_server: Callable[..., Server], tmp_path: Path) -> None:
    """Two processes on one log would destroy it."""
    server = make_server().start()
    other = make_server(tmp_path / "unused")
    ended = start(
        "--config", "cluster-configs/embedded.yaml", "--data", str(server.data), "--port", str(other.port)
    )
    assert ended.returncode == 1
    assert str(server.data) in ended.stderr + ended.stdout
    assert server.get("/readyz").status == 200


def test_flags_win_and_the_start_is_announced(make_server: Callable[..., Server]) -> None:
    server = make_server().start()
    assert f"facet: listening on http://127.0.0.1:{server.port}" in server.log
    assert server.stop() == 0
    assert (server.data / "key").stat().st_mode & 0o777 == 0o600


def test_a_restart_keeps_everything(make_server: Callable[..., Server]) -> None:
    server = make_server().start()
    server.client().create_collection(CollectionId="kept")
    server.stop()
    server.start()
    assert server.client().list_collections()["CollectionIds"] == ["kept"]
