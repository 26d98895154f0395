"""Requests that mean harm, or were made by a broken client: refused with a reason, and nobody else notices."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from itertools import product
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flair_ray.config import Settings
from flair_ray.inputs import tabular
from serve_app.models import StartBody
from tests.serve_app.conftest import BODY, Serve

REFUSED = {400, 408, 413, 415, 422}
HUGE = 10**400
WRONG: tuple[Any, ...] = (True, -1, 1.5, HUGE, 1e308, "", "x" * 129, "\0", "\u202e", [], [[]], {}, {"a": 1}, ["a"] * 99)


def says_why(answer: httpx2.Response) -> bool:
    return bool(answer.headers["content-type"] == "application/problem+json" and answer.json()["detail"].strip())


async def test_a_field_of_a_wrong_kind_is_refused(quiet_api: httpx2.AsyncClient) -> None:
    for field, value in product(StartBody.model_fields, WRONG):
        answer = await quiet_api.post("/api/estimate", json=BODY | {field: value})
        assert answer.status_code == 422 or (answer.status_code == 200 and value != {"a": 1}), (field, value)
        if answer.status_code == 422:
            assert says_why(answer)
            assert len(answer.text) < 2_000


async def test_a_profile_that_is_none_is_refused(quiet_api: httpx2.AsyncClient) -> None:
    wrong = (None, 1, {}, "x" * 2_001, ["x" * 2_001], ["x"] * 51, [None], [["x"]])
    for field, value in product(BODY["creator_profile"], wrong):
        profile = BODY["creator_profile"] | {field: value}
        answer = await quiet_api.post("/api/pipeline/start", json=BODY | {"creator_profile": profile})
        assert (answer.status_code, says_why(answer)) == (422, True), value


NO_JSON = [
    b'{"max_usd": NaN}',
    b'{"max_usd": Infinity}',
    b'{"max_usd": -Infinity}',
    b'{"max_usd": 1e999}',
    b'{"seed": ' + b"9" * 100_000 + b"}",
    b'{"a":' * 100_000,
    b'{"rigor": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    rb'{"reasoning_model": "\ud800"}',
    b'{"reasoning_model": "\xed\xa0\x80"}',
    b'{"reasoning_model": "\xff\xfe"}',
    b"\xef\xbb\xbf{}",
    b"\0" * 1000,
    '{"reasoning_model": "offline"}'.encode("utf-16"),
    b'"' + b"x" * 500_000,
]


async def test_what_is_no_json_is_refused(quiet_api: httpx2.AsyncClient) -> None:
    for path, raw in product(("/api/pipeline/start", "/api/pipeline/run", "/api/estimate"), NO_JSON):
        answer = await quiet_api.post(path, content=raw)
        assert (answer.status_code, says_why(answer)) == (422, True), (path, raw[:40])


async def test_a_body_without_an_end_is_cut_off(quiet_api: httpx2.AsyncClient, settings: Settings) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536
            await asyncio.sleep(0)

    try:
        answer = await quiet_api.post("/api/pipeline/start", content=endless())
        assert (answer.status_code, says_why(answer)) == (413, True)
    except httpx2.TransportError:
        pass  # the server has hung up on a client that did not listen
    assert sent < 64 * settings.max_body_bytes


async def test_a_name_leads_nowhere_else(quiet_api: httpx2.AsyncClient) -> None:
    run_id = (await quiet_api.post("/api/pipeline/start", json=BODY)).json()["run_id"]
    names = ("%00", "%2e%2e%2f%2e%2e", "%ed%a0%80", "%ff", "a" * 5_000, "%0d%0aX-Evil:1", "💥")
    for path, name in product((f"/api/runs/{run_id}/files/", "/api/runs/", "/api/pipeline/results/"), names):
        answer = await quiet_api.get(path + name)
        assert answer.status_code == 404, path + name
        assert says_why(answer)
        assert "x-evil" not in answer.headers


async def test_what_is_sent_back_ends_no_header(quiet_api: httpx2.AsyncClient) -> None:
    evil = "a\r\nX-Evil: 1"
    asked = {"session_id": evil, "cursor": evil}
    answer = await quiet_api.post("/api/pipeline/start", params=asked, json=BODY)
    run_id = answer.json()["run_id"]
    answers = [answer, await quiet_api.get("/api/runs", params=asked)]
    answers.append(await quiet_api.get(f"/api/pipeline/status/{run_id}", params=asked))
    assert [found.status_code for found in answers] == [200, 200, 422]
    assert not [found for found in answers if "x-evil" in found.headers]
    assert [row["run_id"] for row in answers[1].json()["runs"]] == [run_id]


async def test_a_session_may_be_called_anything(quiet_api: httpx2.AsyncClient) -> None:
    for session in ("*", "flair:runs", "a\0b", "💥", "x" * 10_000, "../..", "%ed%a0%80", "'; FLUSHALL"):
        run_id = (await quiet_api.post("/api/pipeline/start", params={"session_id": session}, json=BODY)).json()[
            "run_id"
        ]
        listed = (await quiet_api.get("/api/runs", params={"session_id": session})).json()["runs"]
        assert [row["run_id"] for row in listed] == [run_id], session


def bomb() -> bytes:
    """A table of a few kilobytes that is gigabytes once it is read."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 100_000]))
    buffer = io.BytesIO()
    pq.write_table(pa.table({"transcript": column}), buffer, compression="zstd")
    return buffer.getvalue()


UPLOADS = [
    ("deep.json", b"[" * 1_000_000),
    ("deep.jsonl", b'{"a":' * 100_000 + b"\n"),
    ("long-number.json", b'[{"transcript": ' + b"9" * 100_000 + b"}]"),
    ("nan.json", b'[{"transcript": "words enough to be a transcript", "views": NaN, "duration": Infinity}]'),
    ("surrogate.json", rb'[{"id": "\ud800", "transcript": "words \udfff enough to be a transcript \u0000 here"}]'),
    ("nul.csv", b"id,transcript\n\0,\0\0\0\n"),
    ("quote.csv", b'id,transcript\n"' + b"x" * 3_000_000),
    ("wide.csv", b"," * 100_000 + b"\n"),
    ("tall.csv", b"id,transcript\n" + b"a,b\n" * 3_000),
    ("not.parquet", b"PAR1" + struct.pack("<I", 2**31) + b"PAR1"),
    ("utf16.txt", "words enough to be a transcript of a video".encode("utf-16-le")),
    ("x" * 300 + ".txt", b"words enough to be a transcript of a video"),
    ("/".join("a" * 200 for _ in range(40)) + ".txt", b"words"),
    ("../../../../etc/cron.d/evil.txt", b"words enough to be a transcript of a video"),
    ("..\\..\\evil.txt", b"words enough to be a transcript of a video"),
    ("a\0b.txt", b"words enough to be a transcript of a video"),
    ("archive.zip", b"PK\x03\x04" + b"\0" * 100),
    (".hidden.txt", b"words enough to be a transcript of a video"),
    ("", b"words"),
]


async def test_an_upload_is_read_or_refused(quiet_api: httpx2.AsyncClient) -> None:
    for name, content in UPLOADS:
        answer = await quiet_api.post("/api/videos", files={"file": (name, content)})
        assert answer.status_code == 201 or (answer.status_code in REFUSED and says_why(answer)), (name, answer.text)
        assert tempfile.gettempdir() not in answer.text


PROFILES = [
    ("deep.json", b"[" * 500_000),
    ("deeper.json", b'{"tone":' * 100_000),
    ("long-number.json", b'{"tone": ' + b"9" * 100_000 + b"}"),
    ("surrogate.json", rb'{"tone": "\ud800", "vocabulary": [], "catchphrases": [], "topics_to_avoid": ["\udfff"]}'),
    ("nan.json", b'{"tone": NaN, "vocabulary": Infinity, "catchphrases": [], "topics_to_avoid": []}'),
    ("many.json", json.dumps(dict.fromkeys(BODY["creator_profile"], [None] * 10_000)).encode()),
    ("nul.json", b"\0" * 1000),
    ("utf16.json", json.dumps(BODY["creator_profile"]).encode("utf-16-le")),
    ("archive.json", b"PK\x03\x04" + b"\0" * 100),
    ("x" * 300 + ".json", b"{}"),
    ("/".join("a" * 200 for _ in range(40)) + ".json", b"{}"),
    ("../../../../etc/cron.d/evil.json", b"{}"),
    ("..\\..\\evil.json", b"{}"),
    ("a\0b.json", b"{}"),
    ("", b"{}"),
]


async def test_a_profile_is_refused_as_it_was_called(quiet_api: httpx2.AsyncClient) -> None:
    for name, content in PROFILES:
        answer = await quiet_api.post("/api/creator-profiles", files={"file": (name, content)})
        assert (answer.status_code in REFUSED, says_why(answer)) == (True, True), (name, answer.text)
        assert tempfile.gettempdir() not in answer.text
        assert len(answer.text) < 50_000


FORMS = [
    ("undefined", b"a.txt", 422),
    ("punycode", b"\xff.txt", 422),
    ("no-charset", b"\xff.txt", 201),
    ("utf-7", b"+2AA-.txt", 422),  # half a character
    ("utf-7", b"+3IA-.txt", 422),  # half of one that a disk would take
]


@pytest.mark.parametrize(("charset", "name", "status"), FORMS)
async def test_a_form_in_an_odd_charset_is_read_or_refused(
    quiet_api: httpx2.AsyncClient, charset: str, name: bytes, status: int
) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="f"; filename="%b"\r\n\r\n%b\r\n--x--\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
    content = form % (name, b"words enough to be a transcript of a video")
    answer = await quiet_api.post("/api/videos", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert status == 201 or says_why(answer)


async def test_a_table_that_would_fill_the_memory_is_refused(
    quiet_api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = bomb()
    assert len(small) < 100_000
    monkeypatch.setattr(tabular, "MAX_FILE_BYTES", 1024**2)
    answer = await quiet_api.post("/api/videos", files={"file": ("bomb.parquet", small)})
    assert answer.status_code == 422
    assert "unpacked" in answer.json()["detail"]


async def test_too_many_bytes_or_parts_are_refused(serve_api: Serve, settings: Settings) -> None:
    async with serve_api(settings.model_copy(update={"max_upload_bytes": 100_000})) as client:
        large = await client.post("/api/videos", files={"file": ("a.txt", b"x" * 200_000)})
        many = await client.post("/api/videos", files=[("f", (f"{n}.txt", b"")) for n in range(500)])
        profile = await client.post("/api/creator-profiles", files={"file": ("a.json", b" " * 200_000)})
        fields = await client.post(
            "/api/videos", data={f"f{n}": "x" for n in range(1_100)}, files={"f": ("a.txt", b"x")}
        )
    assert (large.status_code, many.status_code, profile.status_code) == (413, 422, 413)
    assert fields.status_code in REFUSED
    assert says_why(large)
    assert says_why(profile)
    assert says_why(many)
    assert says_why(fields)


async def test_bodies_that_never_come_are_not_waited_for(serve_api: Serve, settings: Settings) -> None:
    """Fifty at once, and meanwhile somebody is served."""
    async with serve_api(settings, patience_s=0.5) as client:
        port = client.base_url.port
        assert port

        async def dawdle(path: str, kind: str) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 1000"
            writer.write(head.encode() + b"\r\n\r\n--b\r\n")
            answer = await reader.read()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            return answer

        kinds = (("/api/pipeline/start", "application/json"), ("/api/videos", "multipart/form-data; boundary=b"))
        slow = [asyncio.create_task(dawdle(*kind)) for kind in kinds * 25]
        await asyncio.sleep(0.05)
        assert (await client.post("/api/estimate", json=BODY)).status_code == 200
        assert not any(task.done() for task in slow)
        answers = await asyncio.gather(*slow)
    assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 408 Request Timeout"}
    assert all(json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] for answer in answers)


async def test_who_hangs_up_within_a_body_is_no_error(
    quiet_api: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for path, kind in (("/api/estimate", "application/json"), ("/api/videos", "multipart/form-data; boundary=b")):
        _, writer = await asyncio.open_connection("127.0.0.1", quiet_api.base_url.port)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n"
        writer.write(head.encode() + b"--b\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
    async with asyncio.timeout(5):
        while len(told := [r for r in caplog.records if r.name == "serve_app.problems"]) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await quiet_api.get("/api/health")).status_code == 200
    assert {record.levelname for record in told} == {"INFO"}
    assert "Traceback" not in caplog.text


async def test_a_crowd_is_told_to_come_back(serve_api: Serve, settings: Settings) -> None:
    async with serve_api(settings, most=2) as client:
        run_id = (await client.post("/api/pipeline/start", json=BODY)).json()["run_id"]
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(client.stream("GET", f"/api/pipeline/status/{run_id}"))
            refused = await client.get("/api/runs")
        assert (refused.status_code, says_why(refused)) == (429, True)
        assert int(refused.headers["retry-after"]) > 0
        while (answer := await client.get("/api/runs")).status_code == 429:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert answer.status_code == 200


async def test_what_is_no_http_harms_nobody(quiet_api: httpx2.AsyncClient) -> None:
    port = quiet_api.base_url.port
    for raw in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/pipeline/start HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/estimate HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n",
        b"GET /api/health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        writer.write_eof()
        answer = await reader.read(12)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        assert not answer.startswith(b"HTTP/1.1 5"), raw[:40]
    assert (await quiet_api.get("/api/health")).status_code == 200
