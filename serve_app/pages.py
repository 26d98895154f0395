"""The studio in a browser: the files below ``web``, as they are. No route here needs to know who asks.

Files are addressed below a version, a hash over all of them, so a browser may keep each for ever and its relative
imports stay within one version. The page that names the version is asked about every time. Another version than this
process has, during an upgrade, is answered with what there is, to be kept by nobody.

The policy lets the page load from here and nowhere else, and refuses every text that is to become HTML: scripts set
text nodes, or nothing.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
}
FOR_EVER = "public, max-age=31536000, immutable"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob: https:",  # a video is where its provider has put it
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_UNVERSIONED = b"/web/-/"


async def index(request: Request) -> Response:
    """The page itself."""
    version, content = _found()
    page = content["index.html"].replace(_UNVERSIONED, f"/web/{version}/".encode())
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return _answer(request, page, "index.html", headers)


async def asset(request: Request) -> Response:
    """One of its files."""
    version, content = _found()
    name = request.path_params["name"]
    if name not in content:
        raise HTTPException(404, "The studio has no such file.")
    kept = FOR_EVER if request.path_params["version"] == version else "no-store"
    return _answer(request, content[name], name, {"Cache-Control": kept})


def _answer(request: Request, content: bytes, name: str, headers: dict[str, str]) -> Response:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers |= {"ETag": tag, "Vary": "Accept-Encoding"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["Content-Encoding"] = _packed(content), "gzip"
        headers["ETag"] = f"W/{tag}"  # what is compared is the same
    return Response(content, headers=headers, media_type=KINDS[name.rpartition(".")[2]])


@lru_cache
def _packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


@lru_cache(maxsize=1)
def _found() -> tuple[str, dict[str, bytes]]:
    """The version, and every file by its path."""
    content = dict(_below(files("serve_app") / "web"))
    whole = hashlib.sha256()
    for name in sorted(content):
        whole.update(f"{name}\0{len(content[name])}\0".encode() + content[name])
    return whole.hexdigest()[:16], content


def _below(folder: Traversable, path: str = "") -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _below(entry, f"{path}{entry.name}/")
        elif entry.name.rpartition(".")[2] in KINDS:
            found.append((path + entry.name, entry.read_bytes()))
    return found


PAGES = [
    Route("/", index, methods=["GET"]),
    Route("/web/{version}/{name:path}", asset, methods=["GET"]),
]
