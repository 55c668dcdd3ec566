"""Results as Parquet, from templates: like records are made into Arrow once, then copied.

Lines are folded (`line_template`), each template becomes rows of Arrow, these are taken once for
each of its lines, and the texts of the line are put in place of the marks, column by column. All of
it but the folding is done by pyarrow.
"""

from __future__ import annotations

from itertools import accumulate, chain
from typing import IO, TYPE_CHECKING, Any, Final

from auditor.output.columns import MISFITS, NO_RUN, check_keys, column_values
from auditor.output.parquet import (
    OF_TARGET,
    RowGroups,
    arrow_schema,
    column_array,
    made_batch,
    parquet_table,
)
from auditor.views.reader.line_template import MARKS, fold_for
from auditor.views.reader.results import parse_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from auditor.output.columns import Column, RunStamp, Table
    from auditor.views.reader.results import Chunk, Results

__all__ = ["results_to_parquet"]

#: Lines that are made into Arrow at a time: whole chunks, up to a number and to octets.
_BATCH_LINES: Final = 2048
_BATCH_OCTETS: Final = 1 << 22
_MARKS: Final = frozenset(MARKS)


def results_to_parquet(
    results: Results,
    file: IO[bytes],
    *,
    flat: bool,
    notes: Mapping[str, str],
    added: Sequence[Column] = (),
    stamps: Mapping[str, RunStamp] | None = None,
) -> int:
    """Write the rows that `write_parquet` makes of the records of results; return their number.

    `added`: more columns, such as those of labels; `stamps`: of the runs, by the path that was
    given for each. Raises InputError for what is no record, OSError if `file` takes no more,
    UsageError if pyarrow is not installed.
    """
    table = parquet_table(flat=flat, added=added)
    schema = arrow_schema(table)
    number = 0
    with RowGroups(file, schema, notes) as groups:
        for chunks in _batches(results):
            lines = list(chain.from_iterable(chunks))
            stamped = table.stamped((stamps or {}).get(chunks[0].given, NO_RUN))
            try:
                batch = _batch(lines, schema, stamped, flat=flat)
            except MISFITS:
                records = [chunk.record(at) for chunk in chunks for at in range(len(chunk))]
                batch = made_batch(records, schema, stamped, number, flat=flat)
            groups.add_batch(batch)
            number += len(lines)
    return number


def _batches(results: Results) -> Iterator[list[Chunk]]:
    """Yield chunks of one path that was given, as many as are made into Arrow at a time."""
    batch: list[Chunk] = []
    lines = octets = 0
    for chunk in results.chunks():
        if batch and batch[0].given != chunk.given:
            yield batch
            batch, lines, octets = [], 0, 0
        batch.append(chunk)
        lines += len(chunk)
        octets += sum(map(len, chunk))
        if lines >= _BATCH_LINES or octets >= _BATCH_OCTETS:
            yield batch
            batch, lines, octets = [], 0, 0
    if batch:
        yield batch


def _batch(lines: Sequence[bytes], schema: Any, table: Table, *, flat: bool) -> Any:
    """Return a pyarrow.RecordBatch of lines. Raises one of MISFITS if one is no record."""
    import pyarrow as pa  # noqa: PLC0415 - optional, and slow to load

    folded = list(map(fold_for(schema.names), lines))
    templates = {line: at for at, line in enumerate(dict.fromkeys(line for line, _ in folded))}
    records = parse_records(list(templates))
    if records is None:
        raise ValueError("a line that is no record")
    check_keys(records)
    used = [templates[line] for line, _ in folded]
    heights = [len(record["findings"]) or 1 for record in records] if flat else [1] * len(records)
    ends = list(accumulate(heights, initial=0))
    rows = pa.array(chain.from_iterable(range(ends[at], ends[at + 1]) for at in used), pa.int32())
    of_line = pa.array(
        chain.from_iterable([number] * heights[at] for number, at in enumerate(used)), pa.int32()
    )
    targets = [_target(records[at], texts) for at, (_, texts) in zip(used, folded, strict=True)]
    texts = _Texts(pa, [texts for _, texts in folded])
    arrays = []
    for field, values in zip(schema, _values(records, table, flat=flat), strict=True):
        if field.name in OF_TARGET:
            array = pa.array(OF_TARGET[field.name].values(targets, ()), field.type).take(of_line)
        else:
            made = column_array(pa, values, field.type)
            array = texts.put_back(made, made.take(rows), of_line)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _values(records: Sequence[Any], table: Table, *, flat: bool) -> list[list[Any]]:
    """Return the values of each column of the templates; nothing for those of the targets."""
    columns = [column for column in table.columns if column.name not in OF_TARGET]
    values = iter(column_values(records, columns, flat=flat))
    return [[] if column.name in OF_TARGET else next(values) for column in table.columns]


def _target(record: Mapping[str, Any], texts: Sequence[bytes]) -> dict[str, Any]:
    """Return what the columns of a target look at."""
    target = record["target"]
    return {
        "kind": record["kind"],
        "target": texts[0].decode() if texts and target == MARKS[0] else target,
    }


class _Texts:
    """The texts of lines, to be put in place of their marks."""

    def __init__(self, pa: Any, texts: Sequence[Sequence[bytes]]) -> None:
        self._pa = pa
        self._texts = texts
        self._by_mark: dict[str, Any] = {}

    def put_back(self, made: Any, taken: Any, of_line: Any) -> Any:
        """Return `taken`, an array of rows of `made`, with texts in place of marks.

        `of_line`: the number of the line that each value is of.
        """
        types = self._pa.types
        kind = taken.type
        if types.is_string(kind):
            return self._in_strings(made, taken, of_line)
        if types.is_struct(kind):
            return self._in_structs(made, taken, of_line)
        if types.is_list(kind):
            return self._in_lists(made, taken, of_line)
        return self._in_maps(made, taken, of_line) if types.is_map(kind) else taken

    def _in_strings(self, made: Any, taken: Any, of_line: Any) -> Any:
        import pyarrow.compute as pc  # noqa: PLC0415 - optional, and slow to load

        for mark in _MARKS.intersection(made.unique().to_pylist()):
            if mark not in self._by_mark:
                at = MARKS.index(mark)
                texts = [each[at] if at < len(each) else None for each in self._texts]
                self._by_mark[mark] = self._pa.array(texts, self._pa.string())
            texts = self._by_mark[mark].take(of_line)
            # A line without texts may have such a character of its own.
            taken = pc.coalesce(pc.if_else(pc.equal(taken, mark), texts, taken), taken)
        return taken

    def _in_structs(self, made: Any, taken: Any, of_line: Any) -> Any:
        fields = [taken.type.field(at) for at in range(taken.type.num_fields)]
        arrays = [
            self.put_back(made.field(at), taken.field(at), of_line) for at in range(len(fields))
        ]
        mask = taken.is_null() if taken.null_count else None
        return self._pa.StructArray.from_arrays(arrays, fields=fields, mask=mask)

    def _in_lists(self, made: Any, taken: Any, of_line: Any) -> Any:
        import pyarrow.compute as pc  # noqa: PLC0415 - optional, and slow to load

        of_item = of_line.take(pc.list_parent_indices(taken))
        items = self.put_back(made.values, taken.values, of_item)
        mask = taken.is_null() if taken.null_count else None
        return self._pa.ListArray.from_arrays(taken.offsets, items, type=taken.type, mask=mask)

    def _in_maps(self, made: Any, taken: Any, of_line: Any) -> Any:
        ends = taken.offsets.to_pylist()
        numbers = zip(of_line.to_pylist(), ends, ends[1:], strict=False)
        of_item = self._pa.array(
            chain.from_iterable([line] * (end - start) for line, start, end in numbers),
            self._pa.int32(),
        )
        keys = self._in_strings(made.keys, taken.keys, of_item)
        items = self._in_strings(made.items, taken.items, of_item)
        return self._pa.MapArray.from_arrays(taken.offsets, keys, items)
