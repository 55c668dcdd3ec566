"""Results as Parquet, from templates: similar records are made into Arrow once, then copied.

Lines are folded (`line_template`), each template becomes rows of Arrow, these are taken once for
each of its lines, and the texts of the line are put in place of the marks, column by column. All
but the folding is done by pyarrow.
"""

from __future__ import annotations

from itertools import accumulate, chain, zip_longest
from typing import IO, TYPE_CHECKING, Any, Final

from auditor.output.arrow import call, pyarrow
from auditor.output.columns import FORM_ERRORS, NO_RUN, check_keys, column_values
from auditor.output.parquet import (
    OF_TARGET,
    RowGroups,
    arrow_schema,
    column_array,
    made_batch,
    parquet_table,
)
from auditor.views.reader.line_template import MARKS, TARGET_MARK, fold_for
from auditor.views.reader.results import parse_records
from auditor.views.target_columns import TargetColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from auditor.output.columns import Column, RunStamp, Table
    from auditor.views.reader.line_template import FoldedLine
    from auditor.views.reader.results import Chunk, Results

__all__ = ["results_to_parquet"]

#: Lines that are made into Arrow at a time: whole chunks, up to a number and to octets.
_BATCH_LINES: Final = 8192
_BATCH_OCTETS: Final = 1 << 23
_NO_ADDRESS: Final = (None, None, None)
#: Buffers that an array with others in it has of its own.
_STRUCT_BUFFERS: Final = 1
_LIST_BUFFERS: Final = 2


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
    given for each. Raises InputError for an invalid record, OSError if `file` cannot be written,
    UsageError if pyarrow is not installed.
    """
    table = parquet_table(flat=flat, added=added)
    schema = arrow_schema(table)
    fold, targets = fold_for(schema.names), TargetColumns()
    number = 0
    with RowGroups(file, schema, notes) as groups:
        for chunks, folded in _batches(results, fold):
            stamped = table.stamped((stamps or {}).get(chunks[0].given, NO_RUN))
            try:
                batch = _batch(folded, schema, stamped, targets, flat=flat)
            except FORM_ERRORS:
                records = [chunk.record(at) for chunk in chunks for at in range(len(chunk))]
                batch = made_batch(records, schema, stamped, number, flat=flat)
            groups.add_batch(batch)
            number += len(folded)
    return number


def _batches(
    results: Results, fold: Callable[[Sequence[bytes]], list[FoldedLine]]
) -> Iterator[tuple[list[Chunk], list[FoldedLine]]]:
    """Yield chunks of one path that was given, as many as are made into Arrow at a time, folded."""
    chunks: list[Chunk] = []
    folded: list[FoldedLine] = []
    octets = 0
    for chunk in results.chunks():
        if chunks and (
            chunks[0].given != chunk.given or len(folded) >= _BATCH_LINES or octets >= _BATCH_OCTETS
        ):
            yield chunks, folded
            chunks, folded, octets = [], [], 0
        chunks.append(chunk)
        folded += fold(chunk)
        octets += sum(map(len, chunk))
    if chunks:
        yield chunks, folded


def _batch(
    folded: Sequence[FoldedLine], schema: Any, table: Table, targets: TargetColumns, *, flat: bool
) -> Any:
    """Return a pyarrow.RecordBatch of lines. Raises one of FORM_ERRORS if one is no record."""
    pa = pyarrow()
    templates: dict[bytes, int] = {}
    used = [templates.setdefault(line, len(templates)) for line, _ in folded]
    records = parse_records(list(templates))
    if records is None:
        raise ValueError("a line that is no record")
    check_keys(records)
    heights = [len(record["findings"]) or 1 for record in records] if flat else [1] * len(records)
    ends = list(accumulate(heights, initial=0))
    spans = [range(*ends[at : at + 2]) for at in range(len(records))]
    rows = pa.array(list(chain.from_iterable([spans[at] for at in used])), pa.int32())
    of_line = pa.array(
        list(chain.from_iterable([[number] * heights[at] for number, at in enumerate(used)]))
        if flat
        else range(len(used)),
        pa.int32(),
    )
    texts = _Texts(pa, folded)
    of_target = zip(*_of_targets(folded, used, records, targets), strict=True)
    following = dict(zip(OF_TARGET, of_target, strict=True))
    arrays = []
    for field, values in zip(schema, _values(records, table, flat=flat), strict=True):
        if field.name in OF_TARGET:
            array = call("take", pa.array(following[field.name], field.type), of_line)
        else:
            made = column_array(pa, values, field.type)
            array = texts.put_back(made, call("take", made, rows), of_line)
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _values(records: Sequence[Any], table: Table, *, flat: bool) -> list[list[Any]]:
    """Return the values of each column of the templates; nothing for those of the targets."""
    columns = [column for column in table.columns if column.name not in OF_TARGET]
    values = iter(column_values(records, columns, flat=flat))
    return [[] if column.name in OF_TARGET else next(values) for column in table.columns]


def _of_targets(
    folded: Sequence[FoldedLine],
    used: Sequence[int],
    records: Sequence[Mapping[str, Any]],
    targets: TargetColumns,
) -> list[tuple[bytes | None, bytes | None, bytes | None]]:
    """Return the values of the columns OF_TARGET, in that order, of each line."""
    known = [record["target"].encode() if record["kind"] == "ip" else None for record in records]
    mark = TARGET_MARK.encode()
    return [
        _NO_ADDRESS
        if (target := known[at]) is None
        else targets.of(texts[0] if texts and target == mark else target)
        for at, (_, texts) in zip(used, folded, strict=True)
    ]


class _Texts:
    """The texts of lines, to be put in place of their marks."""

    def __init__(self, pa: Any, folded: Iterable[FoldedLine]) -> None:
        self._pa = pa
        # Of each mark in turn those of all lines, None for a line without it.
        columns = zip_longest(*[texts for _, texts in folded])
        self._by_mark = {
            mark: pa.array(column, pa.string())
            for mark, column in zip(MARKS, columns, strict=False)
        }

    def put_back(self, made: Any, taken: Any, of_line: Any) -> Any:
        """Return `taken`, an array of rows of `made`, with texts in place of marks.

        `of_line`: the number of the line that each value is of.
        """
        types, kind = self._pa.types, taken.type
        if types.is_string(kind):
            return self._in_strings(made, taken, of_line)
        if types.is_struct(kind):
            inner = [
                self.put_back(made.field(at), taken.field(at), of_line)
                for at in range(kind.num_fields)
            ]
            return self._with(taken, _STRUCT_BUFFERS, inner)
        if not (types.is_list(kind) or types.is_map(kind)) or not len(made.values):
            return taken
        plain = self._pa.list_(taken.values.type)
        lists = self._pa.Array.from_buffers(
            plain, len(taken), taken.buffers()[:_LIST_BUFFERS], children=[taken.values]
        )
        of_item = call("take", of_line, call("list_parent_indices", lists))
        items = self.put_back(made.values, taken.values, of_item)
        if types.is_map(kind):  # of buffers pyarrow 18 makes one that it cannot read
            return self._pa.MapArray.from_arrays(taken.offsets, items.field(0), items.field(1))
        return self._with(taken, _LIST_BUFFERS, [items])

    def _with(self, taken: Any, own: int, inner: list[Any]) -> Any:
        """Return an array with others in it, of which it has `own` buffers beside those."""
        buffers = taken.buffers()[:own]
        return self._pa.Array.from_buffers(taken.type, len(taken), buffers, children=inner)

    def _in_strings(self, made: Any, taken: Any, of_line: Any) -> Any:
        for mark in self._by_mark.keys() & made.to_pylist():
            texts = call("take", self._by_mark[mark], of_line)
            is_mark = call("equal", taken, self._pa.scalar(mark, self._pa.string()))
            # A line without texts may have such a character of its own.
            taken = call("coalesce", call("if_else", is_mark, texts, taken), taken)
        return taken
