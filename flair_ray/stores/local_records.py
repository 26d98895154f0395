"""Runs and posts for good, in one SQLite file of the data directory.

A call is one transaction: several processes may write at once, and a crash leaves nothing half written. Connections
stay open, because opening one takes longer than what is asked of it. What is read is read in place unless somebody is
writing: going to a thread and back takes many times as long, and under load the loop waits for the thread that has the
interpreter. ``posted_at_ms`` stands in a column, because a post that is reported again keeps its first one.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic_core import to_json

from flair_ray.domain.codec import decode, encode
from flair_ray.domain.ids import RunId
from flair_ray.domain.posts import Post, RunRecord
from flair_ray.errors import ArchiveUnavailable

T = TypeVar("T")
Row = tuple[str | int, ...]
BUSY_S = 20.0
"""How long a writer waits for others."""
TABLES = """
CREATE TABLE IF NOT EXISTS runs (run_id TEXT PRIMARY KEY, session_id TEXT, created_at_ms INTEGER,
    finished_at_ms INTEGER, body TEXT) STRICT;
CREATE INDEX IF NOT EXISTS runs_of ON runs (session_id, created_at_ms);
CREATE TABLE IF NOT EXISTS posts (run_id TEXT, script_id TEXT, platform TEXT, post_url TEXT, session_id TEXT,
    posted_at_ms INTEGER, body TEXT, PRIMARY KEY (run_id, script_id, platform, post_url)) STRICT;
CREATE INDEX IF NOT EXISTS posts_of ON posts (session_id, posted_at_ms);
"""
KEEP_RUN = """
INSERT INTO runs VALUES (?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE
SET session_id = excluded.session_id, created_at_ms = excluded.created_at_ms,
    finished_at_ms = excluded.finished_at_ms, body = excluded.body
WHERE excluded.finished_at_ms >= runs.finished_at_ms
"""
KEEP_POST = """
INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id, script_id, platform, post_url) DO UPDATE
SET session_id = excluded.session_id, body = excluded.body
"""


class LocalRecords:
    """See ``flair_ray.ports.Records``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None

    async def keep_run(self, record: RunRecord) -> None:
        ends = (record.created_at_ms, record.finished_at_ms)
        await self._do((KEEP_RUN, (record.run_id, record.session_id, *ends, encode(record))))

    async def run(self, run_id: RunId) -> RunRecord | None:
        rows = await self._read("SELECT body FROM runs WHERE run_id = ?", run_id)
        return decode(RunRecord, str(rows[0][0])) if rows else None

    async def runs(self, session_id: str | None = None, besides: Collection[RunId] = ()) -> list[RunRecord]:
        which, of_session = _of(session_id)
        query = f"""SELECT body FROM runs WHERE {which} AND run_id NOT IN (SELECT value FROM json_each(?))
            ORDER BY created_at_ms, run_id"""  # noqa: S608  # ours
        rows = await self._read(query, *of_session, to_json([*besides]).decode())
        return [decode(RunRecord, str(body)) for (body,) in rows]

    async def forget_run(self, run_id: RunId) -> None:
        both = ("DELETE FROM posts WHERE run_id = ?", "DELETE FROM runs WHERE run_id = ?")
        await self._do(*((query, (run_id,)) for query in both))

    async def keep_post(self, post: Post) -> None:
        key = (post.run_id, post.script_id, post.platform, post.post_url)
        await self._do((KEEP_POST, (*key, post.session_id, post.posted_at_ms, encode(post))))

    async def posts(self, run_id: RunId) -> list[Post]:
        return await self._posts("run_id = ?", run_id)

    async def posts_of(self, session_id: str | None = None) -> list[Post]:
        which, of_session = _of(session_id)
        return await self._posts(which, *of_session)

    async def check(self) -> None:
        await self._do()

    async def close(self) -> None:
        with self._lock:
            self._forget()

    async def _posts(self, condition: str, *values: str) -> list[Post]:
        query = f"SELECT body, posted_at_ms FROM posts WHERE {condition} ORDER BY posted_at_ms, post_url"  # noqa: S608  # ours
        rows = await self._read(query, *values)
        return [replace(decode(Post, str(body)), posted_at_ms=int(at_ms)) for body, at_ms in rows]

    async def _read(self, query: str, *values: str) -> list[Row]:
        rows = self._read_here(query, values)
        return await self._do((query, values)) if rows is None else rows

    def _read_here(self, query: str, values: Sequence[str]) -> list[Row] | None:
        """None where that would have to wait for somebody, or fails: a thread does, and finds out."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._reader.execute(query, values).fetchall() if self._reader else None
        except sqlite3.Error:
            return None
        finally:
            self._lock.release()

    async def _do(self, *statements: tuple[str, Sequence[str | int | None]]) -> list[Row]:
        return await asyncio.to_thread(self._transact, statements)

    def _transact(self, statements: Sequence[tuple[str, Sequence[str | int | None]]]) -> list[Row]:
        """All of them or none; the rows of the last one."""
        rows: list[Row] = []
        with self._lock:
            try:
                with self._opened() as db:
                    for query, values in statements:
                        rows = db.execute(query, values).fetchall()
            except (sqlite3.Error, OSError) as err:
                self._forget()
                raise ArchiveUnavailable(
                    f"{self._file} cannot be used ({err}). Make room or mend its rights, or set FLAIR_DYNAMODB_TABLE."
                ) from err
        return rows

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._file, timeout=BUSY_S, check_same_thread=False)
            self._db.executescript(TABLES)
            self._reader = sqlite3.connect(self._file, timeout=0, check_same_thread=False)
        return self._db

    def _forget(self) -> None:
        """Under the lock."""
        for connection in filter(None, (self._reader, self._db)):
            connection.close()
        self._reader = self._db = None


def _of(session_id: str | None) -> tuple[str, tuple[str, ...]]:
    """A condition for which there is an index, and its value."""
    return ("1", ()) if session_id is None else ("session_id = ?", (session_id,))
