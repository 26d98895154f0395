"""What `flair doctor` says of the local model, and of what is kept for good."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from flair_ray import doctor
from flair_ray.config import Settings
from flair_ray.terminal.tables import Check


@pytest.mark.parametrize(("head", "fit"), [(b"GGUF", True), (b"text", None)])
async def test_it_names_the_file_that_a_run_would_use(
    head: bytes, fit: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(head)
    monkeypatch.setenv("FLAIR_LOCAL_MODEL", str(file))
    (check,) = [c for c in await doctor.examine(Settings(data_dir=tmp_path)) if c.name == "local model"]
    assert check.ok is fit
    assert "mine.gguf" in check.detail
    assert fit or "no GGUF file" in check.fix


async def kept(settings: Settings, *, create_table: bool = False) -> dict[str, Check]:
    checks = await doctor.examine(settings, create_table=create_table)
    return {check.name: check for check in checks if check.name in ("records", "files")}


async def test_it_makes_the_table_only_when_told_to(aws: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, dynamodb_table="doctors", s3_bucket="nobodys")
    before = await kept(settings)
    assert (before["records"].ok, before["files"].ok) == (False, False)
    assert "'doctors'" in before["records"].detail
    assert "--create-table" in before["records"].fix
    assert "'nobodys'" in before["files"].detail
    after = await kept(settings, create_table=True)
    assert (after["records"].ok, after["records"].detail) == (True, "table doctors")
    assert (await kept(settings))["records"].ok


async def test_a_table_of_another_kind_is_refused(aws: str, tmp_path: Path) -> None:
    client = boto3.client("dynamodb")
    client.create_table(
        TableName="theirs",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    client.close()
    check = (await kept(Settings(data_dir=tmp_path, dynamodb_table="theirs")))["records"]
    assert (check.ok, "session-at" in check.detail) == (False, True)


async def test_the_data_directory_is_enough(tmp_path: Path) -> None:
    checks = await kept(Settings(data_dir=tmp_path))
    assert {name: check.ok for name, check in checks.items()} == {"records": True, "files": True}
