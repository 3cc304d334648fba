"""Starts a cluster on this machine: etcd, shard-nodes and coordinators with mTLS between them, or stops it.

    cluster.sh start  [--config FILE] [--data DIR]   starts what does not run and waits until all of it is ready
    cluster.sh stop   [--config FILE] [--data DIR]   stops what was started here, and nothing else
    cluster.sh status [--config FILE] [--data DIR]   says what runs

FILE (cluster-configs/lab.yaml) says which processes there are, and where. DIR moves what the file keeps beside its
certificates to another place, for a second cluster on other ports or a fresh one. The first start makes certificates,
key file and an access key; DIR.env (mode 0600) holds the endpoint and the key: `source` it, then use boto3, the AWS CLI
or facectl. FACET_BIN names the folder of the executables (.build/release).
"""

import argparse
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parents[1]
EXECUTABLES = Path(os.environ.get("FACET_BIN", ROOT / ".build/release"))
READY_SECONDS = 60
STOP_SECONDS = 60
# facectl's own certificate, and what etcd is shown where the configuration names no other.
OPERATOR = "operator"


class Failed(Exception):
    """Something an operator must hear; told without a trace."""


def say(text: str) -> None:
    print(text, flush=True)


def host_and_port(text: str, key: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise Failed(f"key '{key}': '{text}' is not an address and a port")
    return host.strip("[]"), int(port)


class Cluster:
    """A configuration file and where its processes keep what they keep."""

    def __init__(self, config: Path, data: Path | None) -> None:
        document = load(config)
        home = Path(required(document, "tls.directory")).parent
        self.config, self.data = config, home
        if data is not None and data != home:
            move(document, home, data)
            self.data = data
            self.config = data / "cluster.yaml"
        self.moved = document if self.config != config else None
        self.name = required(document, "cluster")
        self.certificates = Path(required(document, "tls.directory"))
        self.key = Path(required(document, "key"))
        self.region = document.get("region", "us-east-1")
        self.endpoints = required(document, "etcd.endpoints")
        self.etcd_certificate = document["etcd"].get("certificate")
        self.nodes: dict[str, dict[str, Any]] = required(document, "nodes")
        self.coordinators: dict[str, dict[str, Any]] = required(document, "coordinators")

    @property
    def environment(self) -> Path:
        return self.data.with_name(self.data.name + ".env")

    @property
    def endpoint(self) -> str:
        return f"http://{next(iter(self.coordinators.values()))['listen']}"

    def etcd(self) -> list["Process"]:
        """One member an endpoint. Its peers reach it on the port after the clients' one."""
        addresses = [urlsplit(endpoint) for endpoint in self.endpoints]
        peers = [f"https://{address.hostname}:{int(address.port or 0) + 1}" for address in addresses]
        names = [f"etcd-{index + 1}" for index in range(len(addresses))]
        members = ",".join(f"{name}={peer}" for name, peer in zip(names, peers, strict=True))
        return [
            Process(
                self, name, "etcd", self._etcd_command(name, endpoint, peer, members),
                [(str(address.hostname), int(address.port or 0)), (str(address.hostname), int(address.port or 0) + 1)],
                lambda address=address: self.etcd_health(str(address.hostname), int(address.port or 0)),
            )
            for name, endpoint, peer, address in zip(names, self.endpoints, peers, addresses, strict=True)
        ]

    def _etcd_command(self, name: str, endpoint: str, peer: str, members: str) -> list[str]:
        authority, certificate, key = self.identity(name)
        return [
            etcd_executable(), "--name", name, "--data-dir", str(self.data / name), "--logger", "zap",
            "--listen-client-urls", endpoint, "--advertise-client-urls", endpoint,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", members, "--initial-cluster-token", self.name, "--initial-cluster-state", "new",
            "--client-cert-auth", "--trusted-ca-file", authority, "--cert-file", certificate, "--key-file", key,
            "--peer-client-cert-auth", "--peer-trusted-ca-file", authority,
            "--peer-cert-file", certificate, "--peer-key-file", key,
            "--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1h",
        ]

    def shard_nodes(self) -> list["Process"]:
        return [
            self._process("shard-node", name, f"nodes.{name}", entry, ["address", "monitor"], "monitor")
            for name, entry in self.nodes.items()
        ]

    def front(self) -> list["Process"]:
        return [
            self._process("coordinator", name, f"coordinators.{name}", entry, ["listen"], "listen")
            for name, entry in self.coordinators.items()
        ]

    def _process(
        self, executable: str, name: str, key: str, entry: dict[str, Any], listens: list[str], watched: str
    ) -> "Process":
        for listen in listens:
            if listen not in entry:
                raise Failed(f"{self.config}: key '{key}.{listen}' is missing")
        command = [str(EXECUTABLES / executable), "--config", str(self.config), "--name", name]
        host, port = host_and_port(entry[watched], f"{key}.{watched}")
        addresses = [host_and_port(entry[listen], f"{key}.{listen}") for listen in listens]
        return Process(self, name, executable, command, addresses, lambda: plain_ready(host, port))

    def identity(self, name: str) -> tuple[str, str, str]:
        """Files of the authority, the certificate and its key."""
        folder = self.certificates
        return str(folder / "ca.pem"), str(folder / f"{name}.pem"), str(folder / f"{name}-key.pem")

    def etcd_health(self, host: str, port: int) -> str:
        """Empty when the member is healthy, which takes a quorum; else what is wrong."""
        authority, certificate, key = self.identity(self.etcd_certificate or OPERATOR)
        try:
            context = ssl.create_default_context(cafile=authority)
            context.load_cert_chain(certificate, key)
            connection = http.client.HTTPSConnection(host, port, timeout=5, context=context)
            status, body = fetch(connection, "/health")
        except (OSError, http.client.HTTPException) as error:
            return str(error)
        return "" if status == 200 and b'"true"' in body else f"{status} {body.decode(errors='replace').strip()}"


@dataclass
class Process:
    """One process of the cluster: what starts it, and the file that remembers which process it is."""

    cluster: Cluster
    name: str
    executable: str
    command: list[str]
    addresses: list[tuple[str, int]]
    # Empty when it is ready; else why not.
    readiness: Callable[[], str]

    @property
    def log(self) -> Path:
        return self.cluster.data / "log" / f"{self.name}.log"

    @property
    def record(self) -> Path:
        return self.cluster.data / "run" / f"{self.name}.pid"

    def pid(self) -> int | None:
        """Its number while it lives. A number may have been given to another program since, hence name and start."""
        try:
            pid, started = (int(word) for word in self.record.read_text().split())
        except (FileNotFoundError, ValueError):
            return None
        return pid if process_facts(pid) == (self.executable[:15], started) else None

    def start(self) -> bool:
        """False when it ran already."""
        if self.pid() is not None:
            return False
        for host, port in self.addresses:
            require_free(host, port, self.name)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                self.command, cwd=ROOT, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )
        # /proc shows the parent's name until the child has become the program.
        deadline = time.monotonic() + READY_SECONDS
        while (facts := process_facts(child.pid)) is not None and facts[0] != self.executable[:15]:
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} runs as '{facts[0]}', not as '{self.executable}'")
            time.sleep(0.005)
        if facts is not None:
            self.record.write_text(f"{child.pid} {facts[1]}\n")
        return True

    def wait_ready(self, deadline: float) -> None:
        while True:
            reason = self.readiness()
            if not reason:
                return
            if self.pid() is None:
                self.record.unlink(missing_ok=True)
                raise Failed(f"{self.name} ended while it started; its log is {self.log}:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise Failed(
                    f"{self.name} is not ready after {READY_SECONDS} s ({reason}); its log is {self.log}:\n"
                    f"{self.last_lines()}"
                )
            time.sleep(0.05)

    def last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:]) if self.log.exists() else ""

    def ask_to_end(self) -> int | None:
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            # A process that was stopped by a debugger or a test hears nothing until it goes on.
            os.kill(pid, signal.SIGCONT)
        return pid

    def wait_ended(self, deadline: float) -> None:
        while self.pid() is not None:
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} (process {self.pid()}) does not end; its log is {self.log}")
            time.sleep(0.02)
        self.record.unlink(missing_ok=True)


def load(config: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(config.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise Failed(f"{config} cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise Failed(f"{config} must be a mapping of keys to values")
    return document


def required(document: dict[str, Any], path: str) -> Any:
    value: Any = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if not value:
        raise Failed(f"the configuration's key '{path}' is missing")
    return value


def move(document: dict[str, Any], home: Path, data: Path) -> None:
    """What lies below `home` lies below `data`."""

    def moved(text: str) -> str:
        path = Path(text)
        return str(data / path.relative_to(home)) if path.is_relative_to(home) else text

    document["key"] = moved(required(document, "key"))
    document["tls"]["directory"] = moved(document["tls"]["directory"])
    for node in required(document, "nodes").values():
        node["data"] = moved(node["data"])


def process_facts(pid: int) -> tuple[str, int] | None:
    """Name and start (in clock ticks since boot) of a living process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in brackets and may itself hold brackets and spaces.
    name, _, rest = text[text.index("(") + 1 :].rpartition(")")
    fields = rest.split()
    return None if fields[0] in "ZX" else (name, int(fields[19]))


def require_free(host: str, port: int, name: str) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        raise Failed(f"{name} cannot listen on {host}:{port}: {error.strerror}") from None


def fetch(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def plain_ready(host: str, port: int) -> str:
    try:
        status, body = fetch(http.client.HTTPConnection(host, port, timeout=5), "/readyz")
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    return "" if status == 200 else f"{status} {body.decode(errors='replace').strip()}"


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ETCD_"))}


def etcd_executable() -> str:
    found = shutil.which("etcd")
    own = ROOT / ".runtime/bin/etcd"
    if found is None and not own.exists():
        raise Failed("etcd is missing; run 'make deps'")
    return found or str(own)


def facectl(*arguments: str) -> str:
    done = subprocess.run(
        [str(EXECUTABLES / "facectl"), *arguments], cwd=ROOT, env=clean_environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )
    if done.returncode != 0:
        raise Failed(f"facectl {' '.join(arguments[:2])} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


@contextmanager
def alone(cluster: Cluster) -> Iterator[None]:
    """One start or stop of a cluster at a time."""
    for folder in ("run", "log"):
        (cluster.data / folder).mkdir(parents=True, exist_ok=True)
    cluster.data.chmod(0o700)
    with (cluster.data / "run/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_certificates(cluster: Cluster) -> None:
    """The authority, and a certificate for whoever has none yet."""
    folder = str(cluster.certificates)
    if not (cluster.certificates / "ca.pem").exists():
        facectl("certs", "init", "--out", folder, "--cluster", cluster.name)
    for process in cluster.etcd() + cluster.shard_nodes() + cluster.front():
        hosts = sorted({host for host, _ in process.addresses} | {"localhost"})
        issue(cluster, process.name, process.executable, hosts)
    for name in {OPERATOR, cluster.etcd_certificate or OPERATOR}:
        issue(cluster, name, "operator", ["localhost"])


def issue(cluster: Cluster, name: str, role: str, hosts: list[str]) -> None:
    _, certificate, key = cluster.identity(name)
    if Path(certificate).exists() and Path(key).exists():
        return
    options = [word for host in hosts for word in ("--host", host)]
    facectl("certs", "issue", "--out", str(cluster.certificates), "--role", role, "--name", name, *options)


def make_key_file(cluster: Cluster) -> None:
    if cluster.key.exists():
        return
    descriptor = os.open(cluster.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(32))
        os.fsync(file.fileno())


def make_ledger_keys(cluster: Cluster) -> None:
    """The key of the ledger's records and checkpoints: the same file on every node that keeps a copy."""
    keys = [Path(entry["data"]) / "key" for entry in cluster.nodes.values() if entry.get("ledger")]
    secret = next((key.read_bytes() for key in keys if key.exists()), None) or os.urandom(32)
    for key in keys:
        if key.exists():
            continue
        key.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
            os.fsync(file.fileno())


def make_access_key(cluster: Cluster) -> None:
    if cluster.environment.exists() and cluster.environment.stat().st_size:
        return
    person = os.environ.get("SUDO_USER") or os.environ.get("USER") or "admin"
    made = json.loads(
        facectl("keys", "create", "--person", person, "--role", "admin", "--config", str(cluster.config), "--json")
    )
    variables = {
        "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        "AWS_REGION": cluster.region,
        "AWS_DEFAULT_REGION": cluster.region,
        "AWS_ENDPOINT_URL_REKOGNITION": cluster.endpoint,
        "FACET_ENDPOINT": cluster.endpoint,
    }
    text = "".join(f"export {name}='{value}'\n" for name, value in variables.items())
    descriptor = os.open(cluster.environment, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def start_together(processes: list[Process]) -> list[str]:
    """All of a kind are started before any is waited for: etcd's members need one another."""
    started = [process.name for process in processes if process.start()]
    deadline = time.monotonic() + READY_SECONDS
    for process in processes:
        process.wait_ready(deadline)
    return started


def start(cluster: Cluster) -> None:
    for executable in ("coordinator", "shard-node", "facectl"):
        if not (EXECUTABLES / executable).exists():
            raise Failed(f"{EXECUTABLES / executable} is missing; run 'make build'")
    with alone(cluster):
        if cluster.moved is not None:
            cluster.config.write_text(yaml.safe_dump(cluster.moved, sort_keys=False))
        make_certificates(cluster)
        make_key_file(cluster)
        make_ledger_keys(cluster)
        started = start_together(cluster.etcd())
        make_access_key(cluster)
        started += start_together(cluster.shard_nodes())
        started += start_together(cluster.front())
    say(f"Started {', '.join(started)}." if started else "Everything runs already.")
    tell(cluster)


def tell(cluster: Cluster) -> None:
    endpoints = [f"http://{entry['listen']}" for entry in cluster.coordinators.values()]
    option = "" if cluster.data.name == "lab" else f" --config {cluster.config}"
    say(
        f"""
The cluster '{cluster.name}' answers at {' and '.join(endpoints)}
  credentials  source {cluster.environment}
  status       .build/release/facectl status, or scripts/cluster.sh status{option}
  logs         {cluster.data}/log/NAME.log of {', '.join([*cluster.nodes, *cluster.coordinators])}
  monitoring   /livez, /readyz, /metrics there and at {', '.join(node['monitor'] for node in cluster.nodes.values())}
  data         {cluster.data}; {cluster.key} and {cluster.certificates} are what to keep safe
  again        make cluster starts what has died; make cluster-stop stops all of it"""
    )


def stop(cluster: Cluster) -> None:
    """In the order that lets each finish: nobody is asked by a coordinator that still runs."""
    if not (cluster.data / "run").exists():
        say("Nothing of this cluster runs.")
        return
    with alone(cluster):
        stopped: list[str] = []
        for group in (cluster.front(), cluster.shard_nodes(), cluster.etcd()):
            stopped += [process.name for process in group if process.ask_to_end() is not None]
            deadline = time.monotonic() + STOP_SECONDS
            for process in group:
                process.wait_ended(deadline)
    say(f"Stopped {', '.join(stopped)}." if stopped else "Nothing of this cluster runs.")


def status(cluster: Cluster) -> None:
    """Exit status 1 unless everything is ready."""
    complete = True
    for process in cluster.etcd() + cluster.shard_nodes() + cluster.front():
        pid = process.pid()
        reason = "" if pid is None else process.readiness()
        if pid is not None:
            state = f"process {pid}, " + (f"not ready: {reason}" if reason else "ready")
        else:
            state = "DIED" if process.record.exists() else "not started"
        complete = complete and pid is not None and not reason
        host, port = process.addresses[0]
        say(f"{process.name:16} {host + ':' + str(port):22} {state}")
    if not complete:
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("command", choices=["start", "stop", "status"])
    parser.add_argument("--config", type=Path, default=Path("cluster-configs/lab.yaml"))
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    os.chdir(ROOT)
    try:
        cluster = Cluster(arguments.config, arguments.data)
        {"start": start, "stop": stop, "status": status}[arguments.command](cluster)
    except Failed as error:
        sys.exit(f"cluster: {error}")


if __name__ == "__main__":
    main()
