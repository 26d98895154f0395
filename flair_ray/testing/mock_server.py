"""A mock language model in a process of its own, for as long as a ``with`` block lasts.

    with MockServer(MockOptions(latency_s=0.05, max_in_flight=29)) as mock:
        ... mock.base_url ...
        assert mock.stats()["rejected_429"] == 0

It takes a free port, so any number run side by side, and is stopped by its own process id. Its standard
error is the caller's: a server that does not start says why there.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from flair_ray.errors import InfrastructureError, InputError
from flair_ray.testing.mock_options import MockOptions

READY: Final = "mock LLM listening on "
"""What the server prints before its base URL, once it listens."""
STOP_TIMEOUT_S: Final = 5.0
HTTP_TIMEOUT_S: Final = 30.0


class MockServer:
    """Entering starts the server and waits until it listens; leaving ends it. ``base_url`` ends in /v1.

    Gemini's clients take the address without a path: ``gemini_url``.
    """

    def __init__(self, options: MockOptions | None = None) -> None:
        self.options = options or MockOptions()
        self.base_url = ""
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """Of the server's process, e.g. to leave it out of a sum of CPU time."""
        return self._running().pid

    @property
    def gemini_url(self) -> str:
        return self.base_url.removesuffix("/v1")

    def __enter__(self) -> MockServer:
        command = [sys.executable, "-m", "flair_ray.testing.mock_llm", self.options.model_dump_json()]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own module
        assert self._process.stdout is not None  # noqa: S101  # it was asked for
        line = self._process.stdout.readline()
        if not line.startswith(READY):
            self._stop()
            raise InfrastructureError("The mock LLM did not start; it said why on standard error.")
        self.base_url = line.removeprefix(READY).strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def stats(self) -> dict[str, Any]:
        """Counters since the last reset, and ``in_flight``."""
        return self._call("GET", "/stats")

    def reset(self) -> None:
        """Counters, prompt cache, luck and bucket as at the start."""
        self._call("POST", "/reset")

    def configure(self, **changes: object) -> dict[str, Any]:
        """Other latency, limits, shares or script from now on; all options as they are then. Raises InputError."""
        return self._call("POST", "/config", json.dumps(changes))

    def _call(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        self._running()
        connection = http.client.HTTPConnection(urlsplit(self.base_url).netloc, timeout=HTTP_TIMEOUT_S)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise InputError(answer["error"]["message"])
        return answer

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise InfrastructureError("The mock LLM is not running: use `with MockServer(...) as mock:`.")
        return self._process

    def _stop(self) -> None:
        process, self._process = self._running(), None
        process.terminate()
        try:
            process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
