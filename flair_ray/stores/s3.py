"""A run's files for good, in a bucket: PREFIX RUN_ID / NAME. Large ones are sent in parts, several at once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from flair_ray.domain.ids import RunId
from flair_ray.errors import ArchiveUnavailable
from flair_ray.stores.aws import Aws
from flair_ray.stores.names import check_name, is_name, is_run

PART_BYTES = 5 * 1024**2
"""The least that S3 takes for a part; a larger file than this is sent in parts."""
PARTS_AT_ONCE = 4
LONGEST_LINK_S = 7 * 86_400
GONE = ("404", "NoSuchKey", "NotFound")


class S3Files:
    """See ``flair_ray.ports.Files``."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._aws = Aws("s3", f"The bucket {bucket!r}")

    async def put(self, run_id: RunId, name: str, content: bytes | Path, media_type: str) -> None:
        check_name(run_id, name)
        await self._aws(lambda client: self._upload(client, self._key(run_id, name), content, media_type))

    async def get(self, run_id: RunId, name: str) -> bytes | None:
        if not is_name(run_id, name):
            return None
        return await self._aws(lambda client: self._found(client.get_object, run_id, name, lambda o: o["Body"].read()))

    async def link(self, run_id: RunId, name: str, seconds: int) -> str | None:
        if not is_name(run_id, name):
            return None
        place = {"Bucket": self._bucket, "Key": self._key(run_id, name)}

        def sign(client: Any) -> Any:
            def signed(_: object) -> Any:
                lasts_s = min(seconds, LONGEST_LINK_S)
                return client.generate_presigned_url("get_object", Params=place, ExpiresIn=lasts_s)

            return self._found(client.head_object, run_id, name, signed)

        url: str | None = await self._aws(sign)
        return url

    async def forget(self, run_id: RunId) -> None:
        if is_run(run_id):
            await self._aws(lambda client: self._remove(client, self._key(run_id, "")))

    async def check(self) -> None:
        """Raises ArchiveUnavailable where the bucket is not there, or not ours."""
        await self._aws(lambda client: client.head_bucket(Bucket=self._bucket))

    async def close(self) -> None:
        await self._aws.close()

    def _key(self, run_id: RunId, name: str) -> str:
        return f"{self._prefix}{run_id}/{name}"

    def _upload(self, client: Any, key: str, content: bytes | Path, media_type: str) -> None:
        from boto3.s3.transfer import TransferConfig

        parts = TransferConfig(
            multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=PARTS_AT_ONCE
        )
        source = content.open("rb") if isinstance(content, Path) else io.BytesIO(content)
        with source:
            client.upload_fileobj(source, self._bucket, key, ExtraArgs={"ContentType": media_type}, Config=parts)

    def _found(self, ask: Any, run_id: RunId, name: str, use: Any) -> Any:
        from botocore.exceptions import ClientError

        try:
            return use(ask(Bucket=self._bucket, Key=self._key(run_id, name)))
        except ClientError as err:
            if err.response.get("Error", {}).get("Code") in GONE:
                return None
            raise

    def _remove(self, client: Any, prefix: str) -> None:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        for page in pages:
            if found := [{"Key": entry["Key"]} for entry in page.get("Contents", [])]:
                told = client.delete_objects(Bucket=self._bucket, Delete={"Objects": found, "Quiet": True})
                for error in told.get("Errors", []):  # of single objects, in an answer that says 200
                    raise ArchiveUnavailable(f"{error.get('Key')} cannot be deleted: {error.get('Code')}.")
