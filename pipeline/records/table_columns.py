"""Columns of the corpus's table that clips keep: the names and values in an index, and which clips have a value."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from pipeline.records.index import Index
from pipeline.records.strings import Lookup, StringArray, blocks


@dataclasses.dataclass(frozen=True)
class Column:
    """A column and its M distinct values, the commonest first, then as they come.

    Attributes:
      name: of the column.
      values: M strings.
      clips: int64 [M], the clips of each value.
    """

    name: str
    values: StringArray
    clips: np.ndarray


def names(index: Index) -> list[str]:
    """The names of all columns, in the order in which they come."""
    found: dict[str, None] = {}
    for block in blocks(len(index.column_name)):
        own = index.column_name[block]
        found |= dict.fromkeys(own[np.sort(own.distinct()[0])])
    return list(found)


def column(index: Index, name: str) -> Column:
    """The values of one column; none where no clip has it."""
    values = index.column_value[np.concatenate([np.zeros(0, np.int64), *_pairs(index, name)])]
    rows, places = values.distinct()
    clips = np.bincount(places, minlength=len(rows))
    order = np.lexsort((rows, -clips))
    return Column(name, values[rows[order]], clips[order])


def having(index: Index, name: str, values: list[str]) -> tuple[np.ndarray, set[str]]:
    """Selects the clips of which a column has one of some distinct values.

    Returns:
      Bool [N], and those of the values that any clip has.
    """
    chosen, seen, find = np.zeros(len(index), bool), np.zeros(len(values) + 1, bool), Lookup(values)
    for pairs in _pairs(index, name):
        places = find(index.column_value[pairs])
        seen[places] = True  # the last stands for other values
        chosen[np.searchsorted(index.column_rows, pairs[places >= 0], side="right") - 1] = True
    return chosen, {value for value, is_there in zip(values, seen, strict=False) if is_there}


def _pairs(index: Index, name: str) -> Iterator[np.ndarray]:
    """Yields int64 [P], the pairs of a column, block by block."""
    for block in blocks(len(index.column_name)):
        yield block.start + np.flatnonzero(index.column_name[block] == name)
