"""`flair doctor`: is this machine fit to run the studio, and if not, what to do about it."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from flair_ray.config import KEY_NAMES, Settings, load_account
from flair_ray.errors import FlairError, InputError
from flair_ray.ports import Files, Records
from flair_ray.providers.local import DEFAULT_MODEL, find_model
from flair_ray.stores.dynamodb import DynamoRecords
from flair_ray.stores.embedded import find_server
from flair_ray.stores.redis_store import ping
from flair_ray.terminal.tables import Check
from flair_ray.wiring import RECORDS, RUNS, open_archive

FREE_DISK_GB = 1.0


async def examine(settings: Settings, *, create_table: bool = False) -> list[Check]:
    """Every check, each with what it found and, where it failed, the mend. ``ok`` None: optional and absent."""
    machine = [_python(), _bytecode(), await _redis(settings), _data_dir(settings)]
    return [*machine, *await _archive(settings, create_table), _ray(), *_keys(), _local(), *_extras()]


def _python() -> Check:
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Check("python", fits, platform.python_version(), "Use Python 3.11, 3.12 or 3.13.")


def _bytecode() -> Check:
    spec = importlib.util.find_spec("ray")
    compiled = bool(spec and spec.cached and Path(spec.cached).exists())
    return Check(
        "bytecode",
        compiled,
        "compiled" if compiled else "not compiled: Ray starts in 7 s instead of 2.6 s",
        "Run `python -m compileall -q` over the environment's site-packages.",
    )


async def _redis(settings: Settings) -> Check:
    if settings.redis_url:
        fits = await ping(settings.redis_url.get_secret_value())
        return Check(
            "redis", fits, "FLAIR_REDIS_URL " + ("answers" if fits else "does not answer"), "Start it, or unset it."
        )
    server = find_server()
    found = f"embedded: {server.name}" if server else "no server on this machine"
    return Check("redis", server is not None, found, "Set FLAIR_REDIS_URL, or install valkey-server or redis-server.")


def _data_dir(settings: Settings) -> Check:
    folder = settings.data_dir.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as err:
        return Check(
            "data directory", False, f"{folder}: {err.strerror}", "Set FLAIR_DATA_DIR to a folder you can write."
        )
    return Check("data directory", free_gb > FREE_DISK_GB, f"{folder}, {free_gb:.0f} GB free", "Free some space.")


async def _archive(settings: Settings, create_table: bool) -> list[Check]:
    """What is kept for good, and whether it can be reached from here."""
    archive = open_archive(settings)
    bucket, table = settings.s3_bucket, settings.dynamodb_table
    access = "Look at AWS_DEFAULT_REGION, the keys, their rights"
    parts = (
        ("records", f"table {table}" if table else RECORDS, archive.records, f"{access}; --create-table makes it."),
        ("files", f"bucket {bucket}" if bucket else RUNS, archive.files, f"{access}; make the bucket."),
    )
    try:
        if create_table and isinstance(archive.records, DynamoRecords):
            await archive.records.create()
        return [await _reached(*part) for part in parts]
    finally:
        await archive.close()


async def _reached(name: str, where: str, part: Records | Files, fix: str) -> Check:
    try:
        await part.check()
    except FlairError as err:
        return Check(name, False, str(err), fix)
    return Check(name, True, where)


def _ray() -> Check:
    return Check("ray", True, version("ray"), "")


def _keys() -> Iterator[Check]:
    for provider, names in KEY_NAMES.items():
        known = load_account(provider).api_key is not None
        yield Check(
            f"{provider} key", known or None, "set" if known else "not set", f"Export {names[0]} to use {provider}."
        )


def _local() -> Check:
    wanted = load_account("local").model or DEFAULT_MODEL
    try:
        file = find_model(wanted)
    except InputError as err:
        return Check("local model", None, wanted, str(err))
    return Check("local model", True, f"{file.name} in {file.parent}", "")


def _extras() -> Iterator[Check]:
    for extra, module, use in (
        ("parquet", "pyarrow", "read Parquet files"),
        ("pandas", "pandas", "result.to_pandas()"),
        ("video", "av", "animatics: scripts as videos"),
        ("aws", "boto3", "keep runs in S3 and DynamoDB"),
    ):
        there = importlib.util.find_spec(module) is not None
        yield Check(f"extra: {extra}", there or None, use, f"pip install 'flair_ray[{extra}]'")
