"""Tokens under a real Serve: who is kept out, and that no log of Ray, Serve or ours has any secret of theirs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx2
import pytest

from flair_ray.domain.tenants import new_token
from flair_ray.errors import InputError
from serve_app.tenants import COOKIE
from tests.serve_app.conftest import BODY
from tests.serve_app.reading import watch
from tests.serve_app.test_real_serve import flair_serve  # noqa: F401  # a fixture

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.mark.parametrize("own_proxy", [True, False], ids=["Serve's proxy", "HAProxy, where it is"])
async def test_no_log_has_a_secret(
    flair_serve: Callable[[], AbstractAsyncContextManager[httpx2.AsyncClient]],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own_proxy: bool,
) -> None:
    if own_proxy:
        monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "0")
    token, entry = new_token("ada")
    bearer = {"Authorization": f"Bearer {token}"}
    monkeypatch.setenv("FLAIR_API_TOKENS", entry)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as logs:  # Ray's sockets want it short
        monkeypatch.setenv("RAY_TMPDIR", logs)
        async with flair_serve() as client:
            assert (await client.post("/api/pipeline/start", json=BODY)).status_code == 401
            cookie = (await client.post("/api/session", json={"token": token})).cookies[COOKIE]
            run_id = (await client.post("/api/pipeline/start", json=BODY, headers=bearer)).json()["run_id"]
            ticket = (await client.post(f"/api/runs/{run_id}/ticket", headers=bearer)).json()["ticket"]
            client.cookies.clear()
            assert (await watch(client, run_id, ticket=ticket))[-1]["event"] == "pipeline_complete"
            assert (await client.get("/api/runs", params={"ticket": ticket})).status_code == 401
            answer = await client.get("/api/runs", headers=bearer | {"X-Request-ID": "my.own-id"})
            assert answer.headers.get_list("x-request-id") == ["my.own-id"]
            assert len((await client.get("/api/runs", headers=bearer)).headers.get_list("x-request-id")) == 1
        written = [path.read_bytes() for path in _files(Path(logs), tmp_path / "said.txt")]
        if own_proxy:  # what it has to say of requests is among it
            assert any(b"my.own-id" in text for text in written)
        for secret in (token, cookie, ticket):
            assert not [text for text in written if secret.encode() in text]


def _files(folder: Path, *others: Path) -> list[Path]:
    return [path for path in (*folder.rglob("*"), *others) if path.is_file()]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Serve's own, when it is imported
def test_a_deployment_needs_tokens_unless_serve_is_known_to_keep_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    from serve_app.app import app

    monkeypatch.setenv("FLAIR_REDIS_URL", "redis://127.0.0.1:1")
    with pytest.raises(InputError, match="FLAIR_API_TOKENS"):
        app({})
    monkeypatch.setenv("FLAIR_API_TOKENS", new_token("ada")[1])
    app({})
