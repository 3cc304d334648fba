"""A cluster each process of which has a network namespace, and so an address, of its own. All are wired to one switch
whose cables can be pulled out, and what one sends to another can be lost. Needs root."""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cluster import Lab

# Of the networks that are kept for tests of devices (RFC 2544): nobody routes there.
NETWORK = f"198.18.{os.getpid() % 256}"
# This process's cable.
HERE = f"facet{os.getpid()}"
# Of each namespace: packets from these senders are lost on their way in, without a word to anybody.
RULES = """
table ip facet {
    set dropped { type ipv4_addr; }
    chain input { type filter hook input priority 0; ip saddr @dropped drop; }
}
"""


class Namespace:
    """As long as the process lives that it was made for, which ends with this one."""

    def __init__(self) -> None:
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo made && exec cat >&2"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        assert self.holder.stdout
        if self.holder.stdout.readline() != b"made\n":
            raise OSError(self.holder.communicate()[1].decode().strip())

    @property
    def pid(self) -> str:
        return str(self.holder.pid)

    @property
    def prefix(self) -> tuple[str, ...]:
        """Of a command that is to run there."""
        return ("nsenter", f"--net=/proc/{self.pid}/ns/net", "--")

    def run(self, *command: str, text: str | None = None) -> None:
        run(*self.prefix, *command, text=text)

    def close(self) -> None:
        self.holder.kill()
        self.holder.communicate()


class Switch:
    """`names` are who is wired to it; so is this process, as itself."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self.hosts = {name: f"{NETWORK}.{number + 2}" for number, name in enumerate(self.names)}
        self.namespace = Namespace()
        self.others: dict[str, Namespace] = {}
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def drop(self, senders: Iterable[str], receivers: Iterable[str]) -> None:
        """What the one send to the others, from now on."""
        self._change("add", senders, receivers)

    def pass_on(self, senders: Iterable[str], receivers: Iterable[str]) -> None:
        self._change("delete", senders, receivers)

    def cut(self, some: Iterable[str], others: Iterable[str]) -> None:
        """Both ways."""
        self.drop(some, others)
        self.drop(others, some)

    def unplug(self, name: str) -> None:
        """The cable at the switch's end."""
        self.namespace.run("ip", "link", "set", self._port(name), "down")

    def plug(self, name: str) -> None:
        self.namespace.run("ip", "link", "set", self._port(name), "up")

    def heal(self) -> None:
        for name, other in self.others.items():
            other.run("nft", "flush", "set", "ip", "facet", "dropped")
            self.plug(name)

    def close(self) -> None:
        """The other cables go with the namespaces that they lead to, some time later."""
        subprocess.run(["ip", "link", "delete", HERE], stderr=subprocess.DEVNULL, check=False)
        for namespace in (*self.others.values(), self.namespace):
            namespace.close()

    def _build(self) -> None:
        self.namespace.run("ip", "link", "add", "switch", "type", "bridge")
        self.namespace.run("ip", "link", "set", "switch", "up")
        run("ip", "link", "add", HERE, "type", "veth", "peer", "name", "here", "netns", self.namespace.pid)
        run("ip", "address", "add", f"{NETWORK}.1/24", "dev", HERE)
        run("ip", "link", "set", HERE, "up")
        self._connect("here")
        for name in self.names:
            other = self.others[name] = Namespace()
            self.namespace.run(
                "ip", "link", "add", self._port(name), "type", "veth", "peer", "name", "eth0", "netns", other.pid
            )
            self._connect(self._port(name))
            other.run("ip", "address", "add", f"{self.hosts[name]}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                other.run("ip", "link", "set", device, "up")
            other.run("nft", "-f", "-", text=RULES)

    def _connect(self, port: str) -> None:
        self.namespace.run("ip", "link", "set", port, "master", "switch", "up")

    def _port(self, name: str) -> str:
        return f"port{self.names.index(name)}"

    def _change(self, how: str, senders: Iterable[str], receivers: Iterable[str]) -> None:
        """Adding what is there does no harm; what is to go must be there, hence is added first."""
        hosts = ", ".join(self.hosts[name] for name in senders)
        steps = ("add", "delete") if how == "delete" else ("add",)
        for receiver in receivers:
            text = "".join(f"{step} element ip facet dropped {{ {hosts} }}\n" for step in steps)
            self.others[receiver].run("nft", "-f", "-", text=text)


class SwitchedLab(Lab):
    """A cluster on a switch; clients, who are here, are never cut off."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.switch = Switch(process.label for process in self.processes)
        for process in self.processes:
            process.host = self.switch.hosts[process.label]
            process.prefix = self.switch.others[process.label].prefix

    def drop(self, senders: set[str], receivers: set[str]) -> None:
        self.switch.drop(senders, receivers)

    def mend(self, some: set[str], others: set[str]) -> None:
        self.switch.pass_on(some, others)
        self.switch.pass_on(others, some)

    def heal(self) -> None:
        self.switch.heal()

    def kill(self) -> None:
        super().kill()
        self.switch.close()


def require_namespaces() -> None:
    """Skips the test where there can be no such cluster, and says why."""
    try:
        Switch(["one"]).close()
    except (OSError, subprocess.CalledProcessError) as failure:
        said = failure.stderr if isinstance(failure, subprocess.CalledProcessError) else str(failure)
        pytest.skip(f"network namespaces cannot be made: {said.strip()}")


def run(*command: str, text: str | None = None) -> None:
    try:
        subprocess.run(command, input=text, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as failure:
        failure.add_note(failure.stderr)
        raise
