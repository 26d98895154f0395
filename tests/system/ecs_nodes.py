"""The containers of the ECS templates on this machine: each task in a network of its own, with the command, the
settings and the users of Valkey that the template has.

    bridge 10.77.0.1 ─┬─ head 10.77.0.2, its successor .12      mock model, mock AWS: 10.77.0.1
                      ├─ front .3                               Valkeys with TLS: the studio's .5, Ray's .6
                      └─ worker .4

Only root may make networks, and only Linux has them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NET, BRIDGE = "10.77.0", "flair-br"
HOST, STUDIO, RAY = f"{NET}.1", f"{NET}.5", f"{NET}.6"
ADDRESSES = {"head": f"{NET}.2", "front": f"{NET}.3", "worker": f"{NET}.4", "successor": f"{NET}.12"}
PASSWORD = "correcthorse"
OWN_MEMORY = 'mkdir -p "$RAY" && for at in "$RAY" /dev/shm; do mount -t tmpfs tmpfs $at; done; eval "$1"'
"""As in a container, nobody sees the files and the shared memory of another one."""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def networks(head_name: str) -> Iterator[None]:
    """A bridge with the servers' addresses, and a network for each task, which knows the head by its name."""
    with ExitStack() as stack:
        ip("link", "add", BRIDGE, "type", "bridge")
        stack.callback(ip, "link", "del", BRIDGE)
        for address in (HOST, STUDIO, RAY):
            ip("addr", "add", f"{address}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for name, address in ADDRESSES.items():
            space, inner, outer = f"flair-{name}", "eth0", f"flair-{name}"[:15]
            ip("netns", "add", space)
            stack.callback(ip, "netns", "del", space)
            stack.callback(shutil.rmtree, etc(name), ignore_errors=True)
            ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space)
            ip("link", "set", outer, "master", BRIDGE, "up")
            for words in (
                ("addr", "add", f"{address}/24", "dev", inner),
                ("link", "set", inner, "up"),
                ("link", "set", "lo", "up"),
                ("route", "add", "default", "via", HOST),
            ):
                ip("-n", space, *words)
            etc(name).mkdir(parents=True, exist_ok=True)
            # gRPC also asks for addresses of IPv6, which the hosts file has not: nobody must be waited for.
            (etc(name) / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        point(head_name, ADDRESSES["head"])
        yield


def etc(name: str) -> Path:
    return Path("/etc/netns") / f"flair-{name}"


def point(head_name: str, address: str) -> None:
    """As Cloud Map does when there is another head."""
    for name in ADDRESSES:
        (etc(name) / "hosts").write_text(f"127.0.0.1 localhost\n{address} {head_name}\n")


@contextmanager
def valkey(address: str, user: Mapping[str, Any], certificate: Path) -> Iterator[None]:
    """With TLS, and the one user that the template gives it."""
    options = {
        "port": "0",
        "tls-port": "6379",
        "bind": address,
        "tls-cert-file": str(certificate / "cert.pem"),
        "tls-key-file": str(certificate / "key.pem"),
        "tls-auth-clients": "no",
        "maxmemory-policy": "noeviction",
        "save": "",
        "user": f"{user['UserName']} {user['AccessString']} >{PASSWORD}",
    }
    config = certificate / f"{address}.conf"
    config.write_text(
        "".join(f"{name} {value or chr(34) * 2}\n" for name, value in options.items()) + "user default off\n"
    )
    server = subprocess.Popen(["redis-server", str(config)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert any("Ready to accept connections" in line for line in server.stdout)
    yield
    server.terminate()
    server.wait()
    server.stdout.close()


class Node:
    """One container in the network ``where``."""

    def __init__(self, where: str, container: Mapping[str, Any], environ: Mapping[str, str], folder: Path) -> None:
        self.where, self._said = where, folder / f"{where}.txt"
        home = folder / where
        home.mkdir(exist_ok=True)
        secrets = {entry["Name"]: "" for entry in container["Secrets"]}
        told = {e["Name"]: e["Value"] for e in container["Environment"] if isinstance(e["Value"], str)}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        ours = {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(home), "RAY": "/tmp/" + "ray"}
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", f"flair-{where}", "unshare", "-m", "bash", "-c", OWN_MEMORY, "bash"]
                + container["Command"],
                env=secrets | told | dict(environ) | ours,
                stdout=said,
                stderr=said,
                cwd=home,
            )

    def said(self) -> str:
        return self._said.read_text(errors="replace")

    def run(self, *words: str) -> int:
        """Another command in the same network."""
        return subprocess.run(["ip", "netns", "exec", f"flair-{self.where}", *words], check=False).returncode

    def kill(self) -> None:
        """Everything in it, at once."""
        found = subprocess.run(
            ["ip", "netns", "pids", f"flair-{self.where}"], capture_output=True, check=True, text=True
        )
        for pid in found.stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        self.process.wait()


def container(template: Path, name: str) -> dict[str, Any]:
    resources = json.loads(template.read_text(encoding="utf-8"))["Resources"].values()
    tasks = [r["Properties"] for r in resources if r["Type"] == "AWS::ECS::TaskDefinition"]
    return next(c for task in tasks for c in task["ContainerDefinitions"] if c["Name"] == name)


def users(template: Path) -> dict[str, dict[str, Any]]:
    resources = json.loads(template.read_text(encoding="utf-8"))["Resources"].values()
    return {r["Properties"]["UserName"]: r["Properties"] for r in resources if r["Type"] == "AWS::ElastiCache::User"}
