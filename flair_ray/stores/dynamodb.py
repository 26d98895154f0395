"""Runs and posts for good, in one table of DynamoDB.

    pk          sk              session           at                       what
    RUN#id      RUN             hash of session   RUN#created_ms#id        a run; its summary as JSON
    RUN#id      POST#hash       hash of session   POST#posted_ms#hash      a post; its numbers as numbers

A run and its posts share a partition; the index ``session-at`` has what belongs to a session, in the order of time.
Keys hold hashes where people choose the text, for a key is short and their text need not be. Writes are conditional:
an older record of a run is dropped, and a post keeps the time it was first reported at. With ``keep_days`` items carry
``expires_at``, the table's time to live: DynamoDB removes them some time after it, and they are passed over until then.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

from flair_ray.domain.codec import adapter
from flair_ray.domain.ids import RunId, digest
from flair_ray.domain.posts import Post, RunRecord
from flair_ray.errors import InputError
from flair_ray.stores.aws import Aws

INDEX = "session-at"
EXPIRY = "expires_at"
RUN = "RUN"
MOST_SUMMARY_BYTES = 300_000
"""An item may have 400 kB."""
DAY_S = 86_400
KEYS = {"pk": "HASH", "sk": "RANGE"}
INDEX_KEYS = {"session": "HASH", "at": "RANGE"}

Item = dict[str, Any]


class DynamoRecords:
    """See ``flair_ray.ports.Records``."""

    def __init__(self, table: str, keep_days: int | None = None) -> None:
        self._table, self._keep_days = table, keep_days
        self._aws = Aws("dynamodb", f"The table {table!r}")

    async def keep_run(self, record: RunRecord) -> None:
        item = {
            "pk": _partition(record.run_id),
            "sk": RUN,
            "session": _hashed(record.session_id),
            "at": f"{RUN}#{record.created_at_ms:015d}#{record.run_id}",
            **_plain(record),
            "summary": _summary(record.summary),
            **self._expiry(record.finished_at_ms),
        }
        await self._aws(lambda client: self._put_newest(client, item))

    async def run(self, run_id: RunId) -> RunRecord | None:
        found = await self._query("pk = :pk AND sk = :sk", {":pk": _partition(run_id), ":sk": RUN})
        return _record(found[0]) if found else None

    async def runs(self, session_id: str | None = None, besides: Collection[RunId] = ()) -> list[RunRecord]:
        if session_id is None:
            found = await self._pages("scan", FilterExpression="sk = :run", values={":run": RUN})
        else:
            found = await self._of_session(session_id, RUN)
        records = [record for record in map(_record, found) if record.run_id not in besides]
        return sorted(records, key=lambda record: (record.created_at_ms, record.run_id))

    async def forget_run(self, run_id: RunId) -> None:
        """In the order of sort keys: the run itself is the last to go."""
        keys = await self._query("pk = :pk", {":pk": _partition(run_id)}, alive=False)

        def remove(client: Any) -> None:
            for item in keys:
                client.delete_item(TableName=self._table, Key=_stored({name: item[name] for name in KEYS}))

        await self._aws(remove)

    async def keep_post(self, post: Post) -> None:
        which = digest(post.script_id, post.platform, post.post_url, length=32)
        facts = _plain(post) | {"session": _hashed(post.session_id)} | self._expiry(post.posted_at_ms)
        first = {"posted_at_ms": facts.pop("posted_at_ms"), "at": f"POST#{post.posted_at_ms:015d}#{which}"}
        sets = [f"#{name} = :{name}" for name in facts] + [f"#{n} = if_not_exists(#{n}, :{n})" for n in first]
        values = facts | first

        def update(client: Any) -> None:
            client.update_item(
                TableName=self._table,
                Key=_stored({"pk": _partition(post.run_id), "sk": f"POST#{which}"}),
                UpdateExpression="SET " + ", ".join(sets),
                ExpressionAttributeNames={f"#{name}": name for name in values},
                ExpressionAttributeValues=_stored({f":{name}": value for name, value in values.items()}),
            )

        await self._aws(update)

    async def posts(self, run_id: RunId) -> list[Post]:
        values = {":pk": _partition(run_id), ":post": "POST#"}
        return _posts(await self._query("pk = :pk AND begins_with(sk, :post)", values))

    async def posts_of(self, session_id: str | None = None) -> list[Post]:
        if session_id is None:
            values = {":post": "POST#"}
            return _posts(await self._pages("scan", FilterExpression="begins_with(sk, :post)", values=values))
        return _posts(await self._of_session(session_id, "POST"))

    async def check(self) -> None:
        """Raises ArchiveUnavailable where there is no such table, and InputError where it is another kind of table."""
        found = (await self._aws(lambda client: client.describe_table(TableName=self._table)))["Table"]
        if INDEX not in {index["IndexName"] for index in found.get("GlobalSecondaryIndexes", [])}:
            raise InputError(f"The table {self._table!r} has no index {INDEX!r}: it was not made by `flair doctor`.")

    async def create(self) -> None:
        """The table, where there is none, and its time to live where one is wanted."""
        await self._aws(self._create)

    async def close(self) -> None:
        await self._aws.close()

    def _create(self, client: Any) -> None:
        try:
            client.create_table(
                TableName=self._table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in (*KEYS, *INDEX_KEYS)],
                KeySchema=_schema(KEYS),
                GlobalSecondaryIndexes=[
                    {"IndexName": INDEX, "KeySchema": _schema(INDEX_KEYS), "Projection": {"ProjectionType": "ALL"}}
                ],
            )
        except client.exceptions.ResourceInUseException:
            pass  # it is there
        client.get_waiter("table_exists").wait(TableName=self._table)
        ttl = client.describe_time_to_live(TableName=self._table)["TimeToLiveDescription"]["TimeToLiveStatus"]
        if self._keep_days and ttl == "DISABLED":
            wanted = {"Enabled": True, "AttributeName": EXPIRY}
            client.update_time_to_live(TableName=self._table, TimeToLiveSpecification=wanted)

    def _expiry(self, at_ms: int) -> Item:
        return {EXPIRY: at_ms // 1000 + self._keep_days * DAY_S} if self._keep_days else {}

    def _put_newest(self, client: Any, item: Item) -> None:
        try:
            client.put_item(
                TableName=self._table,
                Item=_stored(item),
                ConditionExpression="attribute_not_exists(pk) OR finished_at_ms <= :finished",
                ExpressionAttributeValues=_stored({":finished": item["finished_at_ms"]}),
            )
        except client.exceptions.ConditionalCheckFailedException:
            pass  # a newer one is there

    async def _of_session(self, session_id: str, kind: str) -> list[Item]:
        values = {":session": _hashed(session_id), ":kind": f"{kind}#"}
        condition: Item = {
            "KeyConditionExpression": "#session = :session AND begins_with(#at, :kind)",
            "ExpressionAttributeNames": {f"#{name}": name for name in INDEX_KEYS},  # reserved words
        }
        return await self._pages("query", IndexName=INDEX, values=values, **condition)

    async def _query(self, condition: str, values: Item, *, alive: bool = True) -> list[Item]:
        return await self._pages(
            "query", KeyConditionExpression=condition, ConsistentRead=True, values=values, alive=alive
        )

    async def _pages(self, operation: str, *, values: Item, alive: bool = True, **asked: Any) -> list[Item]:
        """Every page's items: an answer has at most 1 MB."""

        def read(client: Any) -> list[Item]:
            pages = client.get_paginator(operation).paginate(
                TableName=self._table, ExpressionAttributeValues=_stored(values), **asked
            )
            return [_loaded(item) for page in pages for item in page["Items"]]

        now_s = time.time()
        return [item for item in await self._aws(read) if not alive or item.get(EXPIRY, now_s + 1) > now_s]


def _schema(keys: Mapping[str, str]) -> list[Item]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()]


def _partition(run_id: RunId) -> str:
    return f"RUN#{run_id}"


def _hashed(session_id: str) -> str:
    return digest(session_id, length=32)


def _plain(value: RunRecord | Post) -> Item:
    plain: Item = adapter(type(value)).dump_python(value, mode="json")
    return plain


def _summary(summary: Mapping[str, Any]) -> str:
    """As JSON, so that no number in it is too large or too fine for DynamoDB; the creator's profile, which result.json
    has too, is left out where there would be no room for it."""
    text = json.dumps(summary)
    if len(text) <= MOST_SUMMARY_BYTES:
        return text
    return json.dumps({**summary, "configuration": {**summary["configuration"], "profile": None}})


def _record(item: Item) -> RunRecord:
    record: RunRecord = _made(RunRecord, item | {"summary": json.loads(item["summary"])})
    return record


def _posts(items: Iterable[Item]) -> list[Post]:
    return sorted((_made(Post, item) for item in items), key=lambda post: (post.posted_at_ms, post.post_url))


def _made(kind: Any, item: Item) -> Any:
    return adapter(kind).validate_python({f.name: item[f.name] for f in fields(kind) if f.name in item})


def _stored(values: Item) -> Item:
    """As DynamoDB takes it: numbers as decimals, of at most 38 digits. Raises InputError for one that is not."""
    from boto3.dynamodb.types import TypeSerializer

    try:
        return {name: TypeSerializer().serialize(_to_decimal(value)) for name, value in values.items()}
    except ArithmeticError as err:  # the decimal module's Inexact, Rounded, Overflow
        raise InputError("A number here is too large or too fine to be kept.") from err


def _to_decimal(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


def _loaded(item: Item) -> Item:
    from boto3.dynamodb.types import TypeDeserializer

    loaded = {name: TypeDeserializer().deserialize(value) for name, value in item.items()}
    return {name: _from_decimal(value) if isinstance(value, Decimal) else value for name, value in loaded.items()}


def _from_decimal(number: Decimal) -> int | float:
    return int(number) if number == number.to_integral_value() else float(number)
