"""Fixtures: servers of the real executable, and the log of one that a test failed on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster import Lab
from harness import EXECUTABLES, Process, Server
from unsynced import build

SERVERS = pytest.StashKey[list[Process]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SERVERS] = []


def pytest_sessionstart() -> None:
    for name in ("coordinator", "shard-node", "face-extractor", "facectl"):
        if not (EXECUTABLES / name).exists():
            pytest.exit(f"{EXECUTABLES / name} is missing; run 'make build'", returncode=1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        for server in item.config.stash[SERVERS]:
            lines = [line for line in server.log.splitlines() if " info facet.api:" not in line]
            report.sections.append((f"log of {server.name}, requests left out", "\n".join(lines[-30:])))
    return report


@pytest.fixture(scope="session")
def unsynced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes a loss of power of kill -9."""
    return build(tmp_path_factory.mktemp("unsynced"))


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    """One server for all tests of a module, which keep to collections of their own. At its end every response that a
    boto3 client of it saw must have conformed."""
    server = Server(tmp_path_factory.mktemp("facet") / "data")
    request.config.stash[SERVERS].append(server)
    server.start()
    yield server
    request.config.stash[SERVERS].remove(server)
    server.stop()
    assert server.findings.bad == []


@pytest.fixture(scope="module")
def make_lab(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Callable[..., Lab]]:
    """Makes and starts clusters that end with the module, each process as it should."""
    labs: list[Lab] = []

    def make(kind: type[Lab] = Lab, **options: object) -> Lab:
        lab = kind(tmp_path_factory.mktemp("lab") / "lab", **options)
        labs.append(lab)
        request.config.stash[SERVERS].extend(lab.processes)
        return lab.start()

    try:
        yield make
        for lab in labs:
            lab.stop()
            assert [finding for coordinator in lab.coordinators for finding in coordinator.findings.bad] == []
    finally:
        for lab in labs:
            lab.kill()
            for process in lab.processes:
                request.config.stash[SERVERS].remove(process)


@pytest.fixture
def make_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Server]]:
    """Makes servers that are not started yet and end with the test."""
    made: list[Server] = []

    def make(data: Path | None = None, **options: object) -> Server:
        server = Server(data or tmp_path / f"data{len(made)}", **options)
        made.append(server)
        request.config.stash[SERVERS].append(server)
        return server

    yield make
    for server in made:
        request.config.stash[SERVERS].remove(server)
        server.kill()
        assert server.findings.bad == []


@pytest.fixture
def collection(module_server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty collection that is named after its test."""
    name = request.node.name.replace("[", "-").replace("]", "")[:200]
    name = "".join(letter if letter.isalnum() or letter in "_.-" else "-" for letter in name)
    client = module_server.client()
    client.create_collection(CollectionId=name)
    yield name
    try:
        client.delete_collection(CollectionId=name)
    except client.exceptions.ResourceNotFoundException:
        pass
