"""Records out of tables: CSV, TSV, JSON lines, JSON and Parquet, as they come and with where they stood.

CSV, JSON lines and Parquet are read as a stream. A broken line is a SkippedRecord and reading goes on; a
file that cannot be read as a whole raises Unreadable.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from flair_ray.inputs.columns import EXPECTED, RawRecord, knows, normal
from flair_ray.inputs.files import MAX_FILE_BYTES, Unreadable, check_size, open_text, parse_json, read_text
from flair_ray.inputs.report import SkippedRecord
from flair_ray.inputs.text import clip, listing

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

Rows = Iterator[RawRecord | SkippedRecord]

_LIST_KEYS = ("videos", "personas", "data", "items", "records", "results", "awemelist", "itemlist", "posts", "rows")
_SEGMENT_COLUMNS = {"start", "end", "text"}
"""A speech recogniser's table: each row a few words, all of them one transcript."""


def rows(path: Path, where: str) -> Rows:
    """The records of a table, in file order. ``where`` names the file. Raises Unreadable."""
    return READERS[path.suffix.lower()](path, where)


def _csv_rows(path: Path, where: str) -> Rows:
    # The csv module's own bound of 131,072 characters is below what a transcript may have.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FILE_BYTES))
    with open_text(path, where, newline="") as file:
        head = file.readline()
        lines = _CountedLines(chain([head], file))
        reader = csv.reader(lines, delimiter=_delimiter(head))
        try:
            header = [name.strip() for name in next(reader, [])]
            if {normal(name) for name in header} == _SEGMENT_COLUMNS:
                yield _joined_segments(header, reader, path, where)
                return
            yield from _table_rows(header, reader, lines, where)
        except csv.Error as err:
            yield SkippedRecord(f"{where} line {reader.line_num}", f"broken CSV, the rest was not read: {err}")


class _CountedLines:
    """Lines on their way to the CSV reader, with the quotes seen since the last record began."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.quotes = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.quotes += line.count('"')
            yield line


def _delimiter(head: str) -> str:
    """The one that makes most known columns of the header line."""

    def known(delimiter: str) -> int:
        return sum(knows(name) for name in next(csv.reader([head], delimiter=delimiter), []))

    return max(",;\t|", key=known)


def _table_rows(header: list[str], reader: CsvReader, lines: _CountedLines, where: str) -> Rows:
    while True:
        first, lines.quotes = reader.line_num + 1, 0
        cells = next(reader, None)
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        at, last = f"{where} line {first}", reader.line_num
        if last > first and lines.quotes % 2:
            yield SkippedRecord(at, f"a quote is opened and never closed; lines {first} to {last} cannot be told apart")
        elif any(cell.strip() for cell in cells[len(header) :]):
            yield SkippedRecord(
                at, f"{len(cells)} values for {len(header)} columns; put quotes around text that contains the separator"
            )
        else:
            yield RawRecord(at, dict(zip(header, cells, strict=False)))


def _joined_segments(header: list[str], reader: CsvReader, path: Path, where: str) -> RawRecord:
    column = [normal(name) for name in header].index("text")
    return RawRecord(where, {"transcript": " ".join(row[column] for row in reader if len(row) > column)}, path.stem)


def _jsonl_rows(path: Path, where: str) -> Rows:
    with open_text(path, where) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            at = f"{where} line {number}"
            try:
                yield _record(parse_json(line.rstrip(), at, number), at)
            except Unreadable as err:
                yield SkippedRecord(at, err.reason)


def _json_rows(path: Path, where: str) -> Rows:
    text = read_text(path, where)
    try:
        document = parse_json(text, where)
    except Unreadable:
        if not _first_line_is_object(text):
            raise
        yield from _jsonl_rows(path, where)  # JSON lines under the wrong name
        return
    for number, item in enumerate(_listed(document, where), start=1):
        yield _record(item, f"{where} record {number}")


def _first_line_is_object(text: str) -> bool:
    first, _, rest = text.strip().partition("\n")
    try:
        return bool(rest) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _listed(document: object, where: str) -> list[object]:
    """The list of records in a JSON document: itself, under a usual key, or the one record it is."""
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise Unreadable(where, f"{_kind(document)}, not a list of records")
    found = _under_key(document, 3)
    if found is not None:
        return found
    if any(knows(key) for key in document):
        return [document]
    raise Unreadable(
        where,
        f"an object without a list of records; its keys are {listing(document)}. Expected one under videos or data",
    )


def _under_key(document: Mapping[str, object], depth: int) -> list[object] | None:
    inner = {normal(key): value for key, value in document.items()}
    values = [inner[key] for key in _LIST_KEYS if key in inner]
    for value in values:
        found = _under_key(value, depth - 1) if isinstance(value, dict) and depth else value
        if isinstance(found, list):
            return found
    return None


def _record(item: object, at: str) -> RawRecord | SkippedRecord:
    return RawRecord(at, item) if isinstance(item, dict) else SkippedRecord(at, f"{_kind(item)}, not an object")


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null", dict: "an object"}
    return names.get(type(value), "a number")


def _parquet_rows(path: Path, where: str) -> Rows:
    """One row at a time and no further than MAX_FILE_BYTES: kilobytes of Parquet can unpack to gigabytes."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise Unreadable(
            where, "reading Parquet needs pyarrow. Install it with: pip install 'flair_ray[parquet]'"
        ) from None
    check_size(path, where, MAX_FILE_BYTES)
    try:
        facts = pq.read_metadata(path)
        all_names = facts.schema.to_arrow_schema().names
        names = [name for name in all_names if knows(name)]
        if not names:
            raise Unreadable(where, f"no known column; it has {listing(all_names)}. {EXPECTED}")
        _check_unpacked(sum(facts.row_group(n).total_byte_size for n in range(facts.num_row_groups)), where)
        leaves = (facts.schema.column(n) for n in range(facts.num_columns))
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        with pq.ParquetFile(path, read_dictionary=texts) as file:  # so that a text that repeats is there once
            number = size = 0
            for batch in file.iter_batches(batch_size=256, columns=names):
                for row in range(batch.num_rows):
                    values = {name: column[row].as_py() for name, column in zip(names, batch.columns, strict=True)}
                    number, size = number + 1, size + len(str(values))
                    _check_unpacked(size, where)
                    yield RawRecord(f"{where} row {number}", values)
    except (pa.ArrowException, OSError, ValueError) as err:
        raise Unreadable(where, f"not a readable Parquet file: {clip(str(err), 200)}") from None


def _check_unpacked(size: int, where: str) -> None:
    if size > MAX_FILE_BYTES:
        raise Unreadable(where, f"more than {MAX_FILE_BYTES:,} bytes once it is unpacked; split it")


READERS: Mapping[str, Callable[[Path, str], Rows]] = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _jsonl_rows,
    ".ndjson": _jsonl_rows,
    ".json": _json_rows,
    ".parquet": _parquet_rows,
}
