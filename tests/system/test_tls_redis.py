"""A whole run over rediss:// with a password, as managed Redis services are reached.

The embedded server has no TLS, so this needs Debian's redis-server (`apt-get install redis-server`) and openssl.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from flair_ray.config import Settings
from flair_ray.domain.ids import new_run_id
from flair_ray.domain.runs import RunStatus
from flair_ray.engine.driver import Driver
from flair_ray.engine.local_executor import LocalExecutor
from flair_ray.engine.order import Order, first_event, prepare
from flair_ray.errors import StoreUnavailable
from flair_ray.flow.clock import SystemClock
from flair_ray.wiring import driver_settings, open_store
from flair_ray.workbench import worker_tools

pytestmark = pytest.mark.long
PASSWORD = "correct horse"


def needed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"This part needs {program}: apt-get install {program}")
    return found


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    made = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([needed("openssl"), "req", "-x509", "-days", "2", *subject, *made], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def tls_port(certificate: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = {
        "port": "0",
        "tls-port": str(port),
        "bind": "127.0.0.1",
        "tls-cert-file": str(certificate / "cert.pem"),
        "tls-key-file": str(certificate / "key.pem"),
        "tls-auth-clients": "no",
        "requirepass": PASSWORD,
        "dir": str(certificate),
        "save": "",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    server = subprocess.Popen(
        [needed("redis-server"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert server.stdout is not None
    for line in server.stdout:
        if "Ready to accept connections" in line:
            break
    else:
        pytest.fail("redis-server did not start with TLS")
    yield port
    server.terminate()
    server.wait()
    server.stdout.close()


def settings_for(url: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, redis_url=SecretStr(url))


async def test_a_run_over_tls_with_a_password(
    tls_port: int, certificate: Path, small_order: Order, tmp_path: Path
) -> None:
    url = f"rediss://:{PASSWORD.replace(' ', '%20')}@localhost:{tls_port}/0?ssl_ca_certs={certificate / 'cert.pem'}"
    settings = settings_for(url, tmp_path)
    async with open_store(settings) as opened:
        tools = await worker_tools(settings, opened.url, {})
        rules = driver_settings(settings)
        run_id = new_run_id()
        spec, inputs = prepare(small_order, settings)
        await opened.store.create(run_id, spec, inputs, first_event(run_id, spec))
        driver = Driver(opened.store, LocalExecutor(tools), rules, SystemClock(), tools.panel)
        assert await driver.drive(run_id) is RunStatus.COMPLETED
        await tools.store.close()
    assert not (tmp_path / "redis").exists(), "an embedded server was started beside the one that was named"


async def test_a_server_whose_certificate_nobody_vouches_for_is_refused(tls_port: int, tmp_path: Path) -> None:
    url = f"rediss://:{PASSWORD.replace(' ', '%20')}@localhost:{tls_port}/0"
    with pytest.raises(StoreUnavailable, match="FLAIR_REDIS_URL"):
        async with open_store(settings_for(url, tmp_path)):
            pass


async def test_a_wrong_password_is_refused_and_not_repeated(tls_port: int, certificate: Path, tmp_path: Path) -> None:
    url = f"rediss://:wrong-secret@localhost:{tls_port}/0?ssl_ca_certs={certificate / 'cert.pem'}"
    with pytest.raises(StoreUnavailable) as caught:
        async with open_store(settings_for(url, tmp_path)):
            pass
    assert "wrong-secret" not in str(caught.value)
