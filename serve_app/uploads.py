"""Files that somebody sends in one multipart request: videos, as a folder's files or one table, and a profile.

The files go to a temporary folder under the names they came with, kept inside it whatever they say, and from there
through the readers that the commands use. Of videos, what can be used is kept in Redis under its content's digest; a
profile is answered and not kept.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message

from flair_ray.domain.codec import plain
from flair_ray.domain.people import CreatorProfile
from flair_ray.errors import InputError
from flair_ray.inputs import Ingest, read_profile, read_videos
from flair_ray.inputs.folder import READABLE
from serve_app.studio import studio_of
from serve_app.tenants import tenant_of

MAX_FILES = 10_000
CHUNK = 1 << 20


async def upload_videos(request: Request) -> Response:
    """Send videos: the files of a folder, or one table, as `flair ingest` reads them. A start names the set."""
    studio = studio_of(request)
    async with _sent(request, studio.settings.max_upload_bytes, MAX_FILES, READABLE) as files:
        found = await asyncio.to_thread(_read, files, studio.settings.max_transcript_bytes)
    if len(found.videos) > studio.settings.max_videos:
        raise InputError(f"{len(found.videos)} videos are more than the limit of {studio.settings.max_videos}.")
    video_set_id = await studio.front.put_videos(found.videos, tenant_of(request).prefix)
    return JSONResponse({"video_set_id": video_set_id, "report": _without_path(found)}, 201)


async def upload_profile(request: Request) -> Response:
    """Send a creator's profile, the JSON file that `flair run --profile` reads; the answer is for a start's body.

    It is not kept. A file larger than a start's body may be is refused.
    """
    settings = studio_of(request).settings
    async with _sent(request, min(settings.max_upload_bytes, settings.max_body_bytes), 1, (".json",)) as [file]:
        profile = await asyncio.to_thread(_read_profile, file)
    return JSONResponse(plain(profile))


@asynccontextmanager
async def _sent(
    request: Request, most: int, max_files: int, kinds: tuple[str, ...]
) -> AsyncIterator[Sequence[UploadFile]]:
    """The files of a form, at least one. Raises HTTPException 413, 415 and 422."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise HTTPException(415, "Send files, as multipart/form-data.")
    try:
        form = await _limited(request, most).form(max_files=max_files)
    except HTTPException as err:
        raise HTTPException(422 if err.status_code == 400 else err.status_code, err.detail) from None
    except (ValueError, LookupError):  # some of Python's codecs fail in ways that the parser does not know
        raise HTTPException(422, "This form cannot be read in the charset that it names.") from None
    try:
        files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
        _check_kinds(files, kinds)
        yield files
    finally:
        await form.close()


def _check_kinds(files: Sequence[UploadFile], kinds: tuple[str, ...]) -> None:
    if not files:
        raise HTTPException(422, "There is no file in this form.")
    if not any((file.filename or "").lower().endswith(kinds) for file in files):
        raise HTTPException(415, f"Files of this kind cannot be read. Readable are {', '.join(kinds)} files.")


def _limited(request: Request, most: int) -> Request:
    """The same request, ended with a 413 when its body is longer."""
    seen = 0

    async def receive() -> Message:
        nonlocal seen
        message = await request.receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise HTTPException(413, f"The upload is larger than {most:,} bytes.")
        return message

    return Request(request.scope, receive)


def _read(files: Sequence[UploadFile], max_transcript_bytes: int) -> Ingest:
    with _written(files) as place:
        return read_videos(place, max_transcript_bytes=max_transcript_bytes)


def _read_profile(file: UploadFile) -> CreatorProfile:
    with _written([file]) as place:
        return read_profile(place)


@contextmanager
def _written(files: Sequence[UploadFile]) -> Iterator[Path]:
    """The one file, or the folder of several, for as long as they are read. An InputError names them as they came."""
    with tempfile.TemporaryDirectory(prefix="flair-upload-") as place:
        folder = Path(place).resolve() / "upload"
        try:
            written = [_write(file, folder) for file in files]
        except OSError as err:
            raise InputError(f"These files cannot be kept under their names: {err.strerror}.") from None
        try:
            yield written[0] if len(written) == 1 else folder
        except InputError as err:
            said = str(err).replace(f"{folder}/", "").replace(str(folder), "the upload")
            raise InputError(said) from err.__cause__


def _write(file: UploadFile, folder: Path) -> Path:
    name = file.filename or "upload"
    try:
        name.encode()
    except UnicodeEncodeError:  # half a character: no disk takes it, and no answer could name it
        raise InputError("One of the files has a name that is no text.") from None
    path = folder.joinpath(*_safe_parts(name))
    if path.exists():
        raise InputError(f"Two of the files are called {path.name!r}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        while chunk := file.file.read(CHUNK):
            target.write(chunk)
    return path


def _safe_parts(name: str) -> list[str]:
    """The parts of a path, none of which leads out of a folder."""
    return list(_parts(name)) or ["upload"]


def _parts(name: str) -> Iterator[str]:
    for part in re.split(r"[/\\]", name.replace("\0", "")):
        if part.strip(". "):
            yield part


def _without_path(found: Ingest) -> dict[str, Any]:
    report = found.to_dict()
    report.pop("path", None)
    return report
