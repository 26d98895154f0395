"""The document at /openapi.json, and the page that shows it."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import httpx2
import pytest

from flair_ray.config import Settings
from serve_app import http
from serve_app.models import COUNTS, EXAMPLE, StartBody
from serve_app.operations import PARAMETERS, document, operations
from tests.serve_app.conftest import Serve


@pytest.fixture
def described(settings: Settings) -> dict[str, Any]:
    return document(http.ROUTES, settings)


def test_every_route_says_what_it_is(described: dict[str, Any]) -> None:
    mute = [route for route in http.ROUTES if route not in operations(http.ROUTES)]
    assert mute == [], "make it a serve_app.operations.Operation"
    found = [operation for methods in described["paths"].values() for operation in methods.values()]
    assert len(found) == len(http.ROUTES)
    assert len({operation["operationId"] for operation in found}) == len(found)
    assert [operation["operationId"] for operation in found if not operation["summary"]] == []
    taken = {name for route in operations(http.ROUTES) for name in route.takes}
    assert taken == PARAMETERS.keys()


def test_the_body_of_a_start_is_described_with_its_bounds(settings: Settings) -> None:
    few = settings.model_copy(update={"max_personas": 17})
    fields = document(http.ROUTES, few)["components"]["schemas"][StartBody.__name__]["properties"]
    assert fields.keys() == StartBody.model_fields.keys()
    bounds = {name: fields["num_personas"][name] for name in ("minimum", "maximum", "default")}
    assert bounds == {"minimum": 1, "maximum": 17, "default": 17}
    assert fields["top_n"]["maximum"] == settings.max_scripts


async def test_the_page_shows_all_of_it_and_loads_nothing(serve_api: Serve, settings: Settings) -> None:
    async with serve_api(settings) as client:
        described = (await client.get("/openapi.json")).json()
        page = await client.get("/docs", headers={"Host": "<script>elsewhere</script>"})
    assert described["openapi"].startswith("3.1")
    assert page.headers["content-type"].startswith("text/html")
    for name in (*described["paths"], *described["components"]["schemas"], *StartBody.model_fields):
        assert name in page.text
    targets = set(re.findall(r'href="#([^"]+)"', page.text))
    assert targets <= set(re.findall(r'id="([^"]+)"', page.text))
    assert "<script" not in page.text
    assert not re.search(r"\b(src|style|on\w+)=", page.text)
    style = re.search("<style>(.*?)</style>", page.text, re.DOTALL)
    assert style
    hashed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert page.headers["content-security-policy"].startswith(f"default-src 'none'; style-src 'sha256-{hashed}';")


async def test_a_default_gives_way_to_a_limit(serve_api: Serve, settings: Settings) -> None:
    few = settings.model_copy(update={"max_videos": 4, "max_scripts": 4, "max_personas": 4})
    async with serve_api(few) as client:
        run_id = (await client.post("/api/pipeline/start", json=EXAMPLE)).json()["run_id"]
        found = (await client.get(f"/api/runs/{run_id}")).json()
    assert [found["configuration"][name] for name in COUNTS] == [4, 4, 4, 4]


async def test_what_the_page_tells_a_shell_to_send_is_taken(quiet_api: httpx2.AsyncClient) -> None:
    example = (await quiet_api.get("/openapi.json")).json()["components"]["schemas"]["StartBody"]["examples"][0]
    assert (await quiet_api.post("/api/estimate", json=example)).status_code == 200
