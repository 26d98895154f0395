"""The mock as people meet it: a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from flair_ray.errors import InfrastructureError, InputError
from flair_ray.testing.mock_llm import MockOptions, MockServer
from flair_ray.testing.mock_server import READY

COMMAND = [sys.executable, "-m", "flair_ray.testing.mock_llm"]
CHAT = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Why?"}]})


@pytest.fixture(scope="module")
def mock() -> Iterator[MockServer]:
    with MockServer(MockOptions(latency_s=0.0, max_in_flight=29, rpm=6_000)) as server:
        yield server


def _ask(base_url: str) -> http.client.HTTPConnection:
    """A connection with a question sent and not yet answered."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=30)
    connection.request("POST", "/v1/chat/completions", CHAT)
    return connection


def test_it_answers_counts_resets_and_changes(mock: MockServer) -> None:
    assert mock.base_url.startswith("http://127.0.0.1:")
    assert mock.base_url.endswith("/v1")
    assert mock.pid != os.getpid()
    connection = _ask(mock.base_url)
    assert connection.getresponse().status == 200
    connection.close()
    assert mock.stats()["ok"] == 1
    mock.reset()
    assert mock.stats()["calls"] == 0
    assert mock.configure(rpm=3_000)["rpm"] == 3_000
    with pytest.raises(InputError, match="rpm"):
        mock.configure(rpm=-1)


def test_a_second_server_on_the_same_port_says_so(mock: MockServer) -> None:
    port = urlsplit(mock.base_url).port
    done = subprocess.run([*COMMAND, f'{{"port": {port}}}'], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr


def test_a_bad_option_ends_in_one_clear_line() -> None:
    done = subprocess.run([*COMMAND, '{"tail": "slow"}'], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "tail: Value error, must be SHARE:FACTOR, such as 0.05:10, not 'slow'" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_whatever_is_in_flight(number: signal.Signals) -> None:
    command = [*COMMAND, '{"latency_s": 600}']
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        base_url = process.stdout.readline().removeprefix(READY).strip()
        connection = _ask(base_url)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        connection.close()
    assert (process.returncode, out, err) == (0, "", "")


def test_a_server_that_cannot_start_raises(mock: MockServer, capfd: pytest.CaptureFixture[str]) -> None:
    taken = MockServer(MockOptions(port=urlsplit(mock.base_url).port or 0))
    with pytest.raises(InfrastructureError, match="did not start"), taken:
        pass
    assert "cannot listen" in capfd.readouterr().err


def test_it_is_used_in_a_with_block() -> None:
    with pytest.raises(InfrastructureError, match="with MockServer"):
        MockServer().stats()


def test_leaving_the_block_ends_the_process() -> None:
    with MockServer() as server:
        pid = server.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
