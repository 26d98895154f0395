"""The studio's files as they are served: found, kept by browsers as long as they are true, and held to their policy."""

from __future__ import annotations

import re
from importlib.resources import files

import httpx2

from serve_app import pages

MOST_BYTES = 75_000
"""Of all files together, as they are sent: whatever anybody opens, they wait for no more."""


async def test_the_page_and_all_that_it_loads_are_there(quiet_api: httpx2.AsyncClient) -> None:
    page = await quiet_api.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert not re.search(r"<script(?! type=\"module\" src=)|<style|\s(on\w+|style)=", page.text)
    linked = re.findall(r'(?:href|src)="(/web/[^"]+)"', page.text)
    assert linked
    for path in linked:
        answer = await quiet_api.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


async def test_every_import_leads_to_a_file(quiet_api: httpx2.AsyncClient) -> None:
    folder = files("serve_app") / "web" / "js"
    for module in [*folder.iterdir(), *(folder / "pages").iterdir()]:
        if not module.name.endswith(".js"):
            continue
        below = "/web/-/js/" + ("pages/" if (folder / "pages" / module.name).is_file() else "")
        for imported in re.findall(r'from "(\.[^"]+)"', module.read_text(encoding="utf-8")):
            answer = await quiet_api.get(below + imported)
            assert answer.status_code == 200, f"{module.name} imports {imported}"
            assert answer.headers["content-type"].startswith("text/javascript")


async def test_a_browser_that_has_it_is_told_so(quiet_api: httpx2.AsyncClient) -> None:
    for path in ("/", "/web/-/css/base.css"):
        for coding in ("gzip", "identity"):
            first = await quiet_api.get(path, headers={"Accept-Encoding": coding})
            again = await quiet_api.get(path, headers={"If-None-Match": first.headers["etag"]})
            assert again.status_code == 304
            assert again.content == b""
        changed = await quiet_api.get(path, headers={"If-None-Match": '"another"'})
        assert changed.status_code == 200


async def test_another_version_is_answered_and_not_kept(quiet_api: httpx2.AsyncClient) -> None:
    answer = await quiet_api.get("/web/0123456789abcdef/js/app.js")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


async def test_nothing_else_is_served(quiet_api: httpx2.AsyncClient) -> None:
    for path in ("js/nothing.js", "js", "..%2fhttp.py", "js/..%2f..%2fhttp.py"):
        assert (await quiet_api.get(f"/web/-/{path}")).status_code == 404


async def test_all_of_it_together_is_small(quiet_api: httpx2.AsyncClient) -> None:
    version, content = pages._found()
    sent = 0
    for name in content:
        async with quiet_api.stream("GET", f"/web/{version}/{name}") as answer:
            sent += sum([len(part) async for part in answer.aiter_raw()])
    assert sent < MOST_BYTES
