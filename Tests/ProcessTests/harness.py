"""The real executables under test: a server with a data directory, its clients, and what a test asks of both."""

import base64
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import numpy as np
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from conform import Findings, error_name
from unsynced import Disk

ROOT = Path(__file__).resolve().parents[2]
EXECUTABLES = Path(os.environ.get("FACET_BIN", ROOT / ".build/release"))
PHOTOS = ROOT / ".runtime/photos"
REGION = "us-east-1"
READY_SECONDS = 30
DIMENSION = 128


@dataclass(frozen=True)
class Key:
    access_key_id: str
    secret_access_key: str

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.access_key_id, self.secret_access_key)

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key}


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body or b"{}")

    @property
    def error(self) -> str:
        """The error's name, or an empty text for a success."""
        return "" if self.status < 300 else error_name(self.json)

    @property
    def message(self) -> str:
        return str(self.json.get("Message") or self.json.get("message") or "")


class CallFailed(Exception):
    """A call that was answered with an error; `response` says which."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"{response.status} {response.error}: {response.message}")
        self.response = response


# Below those that the system gives to connections, of which one could else be taken before a server binds it.
_ports = itertools.cycle(range(10_000 + os.getpid() * 16 % 11_000, 32_000))


def free_port() -> int:
    for port in _ports:
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("a cycle has no end")


def facectl(
    *arguments: str, environment: dict[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Runs facectl; the caller looks at `returncode`."""
    return subprocess.run(
        [str(EXECUTABLES / "facectl"), *arguments],
        cwd=ROOT,
        env={**clean_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    """This process's environment without what would send a client elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FACET_"))}


def create_key(data: Path, person: str = "tester", role: str = "admin") -> Key:
    made = facectl("keys", "create", "--person", person, "--role", role, "--data", str(data), "--json")
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)
    return Key(document["AccessKeyId"], document["SecretAccessKey"])


class Caller:
    """What clients ask of a server or coordinator at `endpoint`, as the person behind `key`."""

    key: Key | None
    findings: Findings

    @property
    def endpoint(self) -> str:
        raise NotImplementedError

    @property
    def environment(self) -> dict[str, str]:
        """What facectl and AWS's tools need to find and use this server."""
        key = self._key()
        return key.environment | {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_REKOGNITION": self.endpoint,
            "FACET_ENDPOINT": self.endpoint,
        }

    def client(self, purpose: str | None = None, case: str | None = None) -> Any:
        """An unmodified boto3 client, every response of which is checked against AWS's model."""
        client = boto3.client(
            "rekognition",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self._key().access_key_id,
            aws_secret_access_key=self._key().secret_access_key,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
        )
        self.findings.watch(client)
        add_headers(client, purpose, case)
        return client

    def get(self, path: str) -> Response:
        return get(self.endpoint, path)

    def post(self, target: str, body: Any, key: Key | None = None, headers: dict[str, str] | None = None) -> Response:
        """A signed call as it stands: `body` is JSON unless it is bytes, nothing is validated here."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = sign(self.endpoint, target, data, key or self._key(), headers or {})
        return send(self.endpoint, "POST", "/", data, signed)

    def call(self, target: str, body: Any, headers: dict[str, str] | None = None) -> Response:
        """The same, where an error is an exception."""
        response = self.post(target, body, headers=headers)
        if response.status != 200:
            raise CallFailed(response)
        return response

    def index_vectors(self, collection: str, vectors: np.ndarray, names: list[str]) -> list[str]:
        """Enrols rows under their names; returns the FaceIds in order."""
        pairs = zip(names, vectors, strict=True)
        items = [{"ExternalImageId": name, "Vector": encode(vector)} for name, vector in pairs]
        answer = self.call("FacetService.IndexVectors", {"CollectionId": collection, "Vectors": items})
        records = answer.json["FaceRecords"]
        assert [record["Face"]["ExternalImageId"] for record in records] == names
        return [record["Face"]["FaceId"] for record in records]

    def search_vector(self, collection: str, vector: np.ndarray, limit: int = 10, cosine: float = 0.5) -> Response:
        body = {"CollectionId": collection, "Vector": encode(vector), "MaxFaces": limit, "CosineThreshold": cosine}
        return self.call("FacetService.SearchByVector", body)

    def search_record(self, search: str) -> Response:
        return self.post("FacetService.GetSearchRecord", {"SearchId": search})

    def face_ids(self, collection: str) -> list[str]:
        """Every FaceId of a collection, through its pages."""
        found: list[str] = []
        token = None
        while True:
            body = {"CollectionId": collection, "MaxResults": 4096} | ({"NextToken": token} if token else {})
            page = self.call("RekognitionService.ListFaces", body).json
            found += [face["FaceId"] for face in page["Faces"]]
            token = page.get("NextToken")
            if not token:
                return found

    def _key(self) -> Key:
        assert self.key is not None, "the server has no key yet"
        return self.key


class Process:
    """One process under test. It may be started and ended as often as a test likes. On a `disk` it loses with kill -9
    what it has not synced."""

    process: subprocess.Popen[bytes] | None = None
    disk: Disk | None = None
    # Before its command: what makes it run elsewhere, by becoming it.
    prefix: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        raise NotImplementedError

    @property
    def log_path(self) -> Path:
        raise NotImplementedError

    @property
    def command(self) -> list[str]:
        raise NotImplementedError

    def get(self, path: str) -> Response:
        raise NotImplementedError

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def launch(self) -> None:
        assert self.process is None, f"{self.name} is started already"
        environment = clean_environment() | (self.disk.environment if self.disk else {})
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *self.command], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log,
            )

    def wait_until(self, what: str, condition: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
        """Until `condition` holds; an error when the process ends before or takes too long."""
        assert self.process is not None
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log[-4000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: not {what} after {seconds} s:\n{self.log[-4000:]}")
            time.sleep(0.01)

    def wait_ready(self) -> None:
        self.wait_until("ready", lambda: self.get("/readyz").status == 200)

    def wait_alive(self) -> None:
        """Until it answers at all, ready or not."""
        self.wait_until("alive", lambda: self.get("/livez").status == 200)

    def kill(self) -> None:
        """kill -9, as a power cut of the process would be."""
        self._end(signal.SIGKILL)
        if self.disk:
            self.disk.lose()

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        return self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: its connections stay, it says nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _end(self, kind: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(kind)
        try:
            return process.wait(READY_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{self.name} does not end on {kind.name}:\n{self.log[-4000:]}") from None


@dataclass
class Server(Caller, Process):
    """One embedded server and its data directory."""

    data: Path
    port: int = field(default_factory=free_port)
    key: Key | None = None
    arguments: tuple[str, ...] = ()
    findings: Findings = field(default_factory=Findings)

    @property
    def name(self) -> str:
        return str(self.data)

    @property
    def log_path(self) -> Path:
        return self.data.with_name(self.data.name + ".log")

    @property
    def command(self) -> list[str]:
        return [
            str(EXECUTABLES / "coordinator"), "--embedded", "--config", "cluster-configs/embedded.yaml",
            "--data", str(self.data), "--port", str(self.port), *self.arguments,
        ]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, ready: bool = True) -> "Server":
        """Starts the process. With `ready` it must become ready; else it need only be alive and listening."""
        if self.key is None:
            self.key = create_key(self.data)
        self.launch()
        if ready:
            self.wait_ready()
        else:
            self.wait_alive()
        return self


def add_headers(client: Any, purpose: str | None, case: str | None) -> None:
    """Adds Facet's headers before the request is signed, so that the signature covers them."""

    def add(request: Any, **_: Any) -> None:
        for name, value in (("x-facet-purpose", purpose), ("x-facet-case", case)):
            if value is not None:
                request.headers[name] = value

    client.meta.events.register("before-sign.rekognition", add)


def sign(endpoint: str, target: str, body: bytes, key: Key, headers: dict[str, str]) -> dict[str, str]:
    base = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target, **headers}
    request = AWSRequest(method="POST", url=endpoint + "/", data=body, headers=base)
    SigV4Auth(key.credentials, "rekognition", REGION).add_auth(request)
    return dict(request.headers.items())


def send(endpoint: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> Response:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=60)
    try:
        connection.request(method, path, body if body else None, headers)
        answer = connection.getresponse()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def get(endpoint: str, path: str) -> Response:
    """Without a signature; status 0 when nobody answers."""
    try:
        return send(endpoint, "GET", path, b"", {})
    except (OSError, http.client.HTTPException):
        return Response(0, {}, b"")


def encode(vector: np.ndarray) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


def unit_vectors(count: int, seed: int) -> np.ndarray:
    """Seeded random directions: strangers to one another, like faces of different people."""
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def photo(name: str) -> bytes:
    path = PHOTOS / name
    assert path.exists(), f"{path} is missing; run 'make deps'"
    return path.read_bytes()


def search_id(answer: dict[str, Any]) -> str:
    """Of a boto3 answer."""
    return answer["ResponseMetadata"]["HTTPHeaders"]["x-facet-search-id"]
