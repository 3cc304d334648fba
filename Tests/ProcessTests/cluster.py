"""A cluster under test: etcd, shard-nodes and coordinators of its own, on free ports in a temporary folder, with real
certificates. Every process can be killed, stopped, continued and started again; a node may stand behind a proxy."""

import json
import os
import random
import re
import shutil
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from conform import Findings
from harness import EXECUTABLES, ROOT, Caller, Key, Process, Response, facectl, free_port, get
from unsynced import Disk
from wire import Proxy

CLUSTER = "test"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Certificates:
    """An authority, and what it issues. Two of them are two clusters, even of one name."""

    folder: Path

    @staticmethod
    def make(folder: Path) -> "Certificates":
        certs("init", "--out", str(folder), "--cluster", CLUSTER)
        return Certificates(folder)

    def issue(self, role: str, name: str, host: str = LOOPBACK) -> "Identity":
        certs(
            "issue", "--out", str(self.folder), "--role", role, "--name", name, "--host", host, "--host", "localhost"
        )
        return self.identity(name)

    def identity(self, name: str) -> "Identity":
        return Identity(
            str(self.folder / "ca.pem"), str(self.folder / f"{name}.pem"), str(self.folder / f"{name}-key.pem")
        )


@dataclass(frozen=True)
class Identity:
    authority: str
    certificate: str
    key: str

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authority)
        context.load_cert_chain(self.certificate, self.key)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def certs(*arguments: str) -> None:
    done = facectl("certs", *arguments)
    assert done.returncode == 0, f"facectl certs {' '.join(arguments)}: {done.stdout}{done.stderr}"


@dataclass
class Member(Process):
    """A process of a lab; `name` is its name in the lab's configuration, `host` the address it listens at."""

    lab: "Lab"
    label: str
    host: str = LOOPBACK

    @property
    def name(self) -> str:
        return self.label

    @property
    def log_path(self) -> Path:
        return self.lab.folder / f"{self.label}.log"

    @property
    def command(self) -> list[str]:
        return [str(EXECUTABLES / self.executable), "--config", str(self.lab.config), "--name", self.label]

    @property
    def executable(self) -> str:
        raise NotImplementedError

    @property
    def endpoint(self) -> str:
        raise NotImplementedError

    def get(self, path: str) -> Response:
        return get(self.endpoint, path)

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def metrics(self) -> dict[str, float]:
        return parse_metrics(self.get("/metrics").body.decode())


@dataclass
class Node(Member):
    """`port` is where it listens; coordinators are told `address`, which may be a proxy's."""

    port: int = field(default_factory=free_port)
    monitor: int = field(default_factory=free_port)
    proxy: Proxy | None = None

    executable = "shard-node"

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.proxy.port}" if self.proxy else f"{self.host}:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.monitor}"


@dataclass
class Coordinator(Caller, Member):
    port: int = field(default_factory=free_port)
    key: Key | None = None
    findings: Findings = field(default_factory=Findings)

    executable = "coordinator"

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.port}"

    def problems(self) -> dict[str, Any]:
        """What /readyz says; empty when nobody answers."""
        answer = self.get("/readyz")
        return answer.json if answer.status else {}


@dataclass
class Etcd(Member):
    port: int = field(default_factory=free_port)
    peer: int = field(default_factory=free_port)

    @property
    def endpoint(self) -> str:
        return f"https://{self.host}:{self.port}"

    @property
    def command(self) -> list[str]:
        identity = self.lab.certificates.identity(self.label)
        peer = f"https://{self.host}:{self.peer}"
        members = ",".join(f"{member.label}=https://{member.host}:{member.peer}" for member in self.lab.etcd)
        return [
            shutil.which("etcd") or str(ROOT / ".runtime/bin/etcd"), "--name", self.label,
            "--data-dir", str(self.lab.folder / self.label), "--logger", "zap",
            "--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", members,
            "--client-cert-auth", "--trusted-ca-file", identity.authority,
            "--cert-file", identity.certificate, "--key-file", identity.key,
            "--peer-client-cert-auth", "--peer-trusted-ca-file", identity.authority,
            "--peer-cert-file", identity.certificate, "--peer-key-file", identity.key,
        ]

    def wait_ready(self) -> None:
        self.wait_until("healthy", self.healthy)

    def healthy(self) -> bool:
        """Which takes a quorum."""
        connection = HTTPSConnection(
            self.host, self.port, timeout=5, context=self.lab.certificates.identity("operator").client()
        )
        try:
            connection.request("GET", "/health")
            return b'"true"' in connection.getresponse().read()
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


class Lab:
    """The whole of it. `proxied` nodes are reached through a proxy that a test can make misbehave. Shards have one copy
    unless `copies` says more: so that what a node does not answer is missing. So has the ledger, on node-1, unless
    `ledgers` says more. With the library `unsynced` nodes lose with kill -9 what they have not synced."""

    def __init__(
        self, folder: Path, nodes: int = 4, coordinators: int = 2, members: int = 1, deadline: int = 30,
        proxied: Iterable[str] = (), log_level: str = "info", copies: int = 1, ledgers: int = 1,
        unsynced: Path | None = None, seed: int = 1, replace_after: int = 600,
        scrub_after: int = 604_800,
    ) -> None:
        self.folder = folder
        self.config = folder / "cluster.yaml"
        self.deadline = deadline
        self.log_level = log_level
        self.copies = copies
        self.replace_after = replace_after
        self.scrub_after = scrub_after
        self.ledgers = ledgers
        self.etcd = [Etcd(self, f"etcd-{number + 1}") for number in range(members)]
        self.nodes = [Node(self, f"node-{number + 1}") for number in range(nodes)]
        self.coordinators = [Coordinator(self, f"coordinator-{number + 1}") for number in range(coordinators)]
        for node in self.nodes:
            if node.label in proxied:
                node.proxy = Proxy(node.port)
            if unsynced:
                node.disk = Disk(folder / node.label, unsynced, random.Random(f"{seed} {node.label}"))

    @property
    def processes(self) -> list[Member]:
        return [*self.etcd, *self.nodes, *self.coordinators]

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.label == name)

    def member(self, name: str) -> Member:
        return next(process for process in self.processes if process.label == name)

    def start(self) -> "Lab":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_certificates()
        self._make_keys()
        # JSON is YAML.
        self.config.write_text(json.dumps(self._configuration(), indent=1))
        for group in (self.etcd, self.nodes, self.coordinators):
            for process in group:
                process.launch()
            if group is self.etcd:
                self._make_access_key()
            for process in group:
                process.wait_ready()
        return self

    def stop(self) -> None:
        """In the order that lets each finish; each must end as it should."""
        for group in (self.coordinators, self.nodes):
            statuses = {process.label: process.stop() for process in group}
            assert not any(statuses.values()), f"ended with {statuses}"
        self.kill()

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
        for node in self.nodes:
            if node.proxy:
                node.proxy.close()

    def cut_power(self) -> None:
        """Of all processes at once."""
        for process in self.processes:
            if process.process:
                process.process.kill()
        for process in self.processes:
            process.kill()

    def restore_power(self) -> None:
        """Etcd first: a coordinator that finds none ends, and waits for a supervisor."""
        for group in (self.etcd, [*self.nodes, *self.coordinators]):
            for process in group:
                process.launch()
            for process in group:
                process.wait_ready()

    def complete(self) -> bool:
        """Whether every coordinator reaches every shard."""
        return all(coordinator.get("/readyz").status == 200 for coordinator in self.coordinators)

    def wait_complete(self) -> None:
        for coordinator in self.coordinators:
            coordinator.wait_ready()

    def shards(self, collection: str) -> list[dict[str, Any]]:
        """{Shard, Node, Faces} of each, in the order of the map."""
        status = self.coordinators[0].call("FacetService.GetStatus", {}).json
        found = [entry["Shards"] for entry in status["Collections"] if entry["CollectionId"] == collection]
        assert len(found) == 1, f"{collection} is not in {status['Collections']}"
        return found[0]

    def _make_certificates(self) -> None:
        self.certificates = Certificates.make(self.folder / "certs")
        for group, role in ((self.etcd, "etcd"), (self.nodes, "shard-node"), (self.coordinators, "coordinator")):
            for process in group:
                self.certificates.issue(role, process.label, process.host)
        self.certificates.issue("operator", "operator")

    def _make_keys(self) -> None:
        place_key(self.folder, os.urandom(32))
        if self.ledgers > 1:
            secret = os.urandom(32)
            for node in self.nodes[: self.ledgers]:
                place_key(self.folder / node.label, secret)

    def _make_access_key(self) -> None:
        for member in self.etcd:
            member.wait_ready()
        key = self.make_key()
        for coordinator in self.coordinators:
            coordinator.key = key

    def make_key(self, tenant: str | None = None) -> Key:
        """An admin's, of the account that `keys create` takes unless told."""
        arguments = ["keys", "create", "--person", "tester", "--role", "admin", "--config", str(self.config), "--json"]
        made = facectl(*arguments, *(["--tenant", tenant] if tenant else []))
        assert made.returncode == 0, made.stdout + made.stderr
        document = json.loads(made.stdout)
        return Key(document["AccessKeyId"], document["SecretAccessKey"])

    def _configuration(self) -> dict[str, Any]:
        zones = "ab"
        return {
            "cluster": CLUSTER,
            "key": str(self.folder / "key"),
            "tls": {"directory": str(self.folder / "certs")},
            "etcd": {"endpoints": [member.endpoint for member in self.etcd], "certificate": "operator"},
            "collections": {"shards": len(self.nodes)},
            "replication": {
                "copies": self.copies, "min_in_sync": min(2, self.copies), "replace_after_seconds": self.replace_after,
            },
            "limits": {"deadlineSeconds": self.deadline},
            "nodes": {
                node.label: {
                    "address": node.address,
                    "listen": f"{node.host}:{node.port}",
                    "monitor": f"{node.host}:{node.monitor}",
                    "zone": zones[number % 2],
                    "data": str(self.folder / node.label),
                    "memory": "256MiB",
                    "ledger": number < self.ledgers,
                }
                for number, node in enumerate(self.nodes)
            },
            "coordinators": {
                coordinator.label: {"listen": f"{coordinator.host}:{coordinator.port}", "zone": zones[number % 2]}
                for number, coordinator in enumerate(self.coordinators)
            },
            "search": {"threads": 1},
            "disk": {"scrub_after_seconds": self.scrub_after},
            "log": {"level": self.log_level},
        }


def place_key(folder: Path, secret: bytes) -> None:
    """The key file of a cluster or of a data directory."""
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_bytes(secret)


def parse_metrics(text: str) -> dict[str, float]:
    """Prometheus text: `name{label="value"}` to its value."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([a-z_]+(?:\{[^}]*\})?) (\S+)", line)
        if match:
            found[match[1]] = float(match[2])
    return found


def total(metrics: dict[str, float], pattern: str) -> float:
    """Sum over every series that the pattern matches whole."""
    return sum(value for name, value in metrics.items() if re.fullmatch(pattern, name))
