"""The index of a dataset: location, length, labels and word times of every record, as columns."""

import dataclasses
import math
from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.records import checks
from pipeline.records.example import pixels_offset
from pipeline.records.strings import Builder, StringArray, shift_concatenate
from pipeline.schema import Clip, Word

ENDS = "_ends"  # suffix, in the file, of the ends of a column of strings
NOT_SCORED = -1  # in place of a doubt
NUMBERS = ("offset", "length", "pixels", "frames", "tracked", "doubt")  # of a row
STRINGS = ("id", "speaker", "text", "doubt_cause")
ROWS = ("word_rows", "column_rows")  # where the words of a record begin and end, and its columns of the table


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the index: where a record lies, and what the plan and the statistics need of it."""

    id: str
    speaker: str
    text: str
    offset: int  # bytes from the shard's start to the record's header
    length: int  # bytes of the payload
    pixels: int  # bytes from the payload's start to its frames
    frames: int
    tracked: int  # number of frames in which the mouth was found
    words: tuple[Word, ...]
    doubt: int = NOT_SCORED  # or percent, rounded down
    doubt_cause: str = ""
    columns: tuple[tuple[str, str], ...] = ()  # of the corpus's table: name, value

    @classmethod
    def of(cls, clip: Clip, record: bytes, offset: int) -> "Row":
        """The row of a clip whose `record` has its header at byte `offset` of the shard."""
        place = offset, len(record), pixels_offset(record)
        percent = NOT_SCORED if clip.doubt is None else math.floor(100 * clip.doubt + 1e-3)  # a record holds float32
        found = len(clip.frames), int(clip.tracked.sum()), clip.words, percent, clip.doubt_cause, clip.columns
        return cls(clip.id, clip.speaker, clip.text, *place, *found)


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
    """The rows of N records with W words and C pairs of column and value in all, as columns, in shard order.

    Numbers are int64, or int32 where they come from a file and all of a column are below 2^30.

    Attributes:
      split, shard: [N], positions in the manifest's lists.
      offset, length, pixels, frames, tracked, doubt: [N], as in `Row`.
      id, speaker, text, doubt_cause: N strings.
      word_rows: [N + 1]; record n has the words `word_rows[n]:word_rows[n + 1]`.
      word_text: W strings.
      word_start, word_stop: [W], frames.
      column_rows: [N + 1]; record n has the pairs `column_rows[n]:column_rows[n + 1]`.
      column_name, column_value: C strings.
    """

    split: np.ndarray
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    pixels: np.ndarray
    frames: np.ndarray
    tracked: np.ndarray
    doubt: np.ndarray
    id: StringArray
    speaker: StringArray
    text: StringArray
    doubt_cause: StringArray
    word_rows: np.ndarray
    word_text: StringArray
    word_start: np.ndarray
    word_stop: np.ndarray
    column_rows: np.ndarray
    column_name: StringArray
    column_value: StringArray

    @classmethod
    def of(cls, shards: Iterable[tuple[int, int, Iterable[Row]]]) -> "Index":
        """Builds an index of `(split, shard, rows)` in order; the rows may be a generator and are not kept."""
        strings = {name: Builder() for name in checks.STRING_COLUMNS}
        numbers = {name: array("q") for name in (*checks.INT_COLUMNS, *ROWS, "word_start", "word_stop")}
        for name in ROWS:
            numbers[name].append(0)
        for split, shard, rows in shards:
            for row in rows:
                for column, value in (("split", split), ("shard", shard)):
                    numbers[column].append(value)
                for column in NUMBERS:
                    numbers[column].append(getattr(row, column))
                for column in STRINGS:
                    strings[column].append(getattr(row, column))
                for word in row.words:
                    strings["word_text"].append(word.text)
                    numbers["word_start"].append(word.start)
                    numbers["word_stop"].append(word.stop)
                for name, value in row.columns:
                    strings["column_name"].append(name)
                    strings["column_value"].append(value)
                numbers["word_rows"].append(len(numbers["word_start"]))
                numbers["column_rows"].append(numbers["column_rows"][-1] + len(row.columns))
        arrays = {name: np.frombuffer(values, np.int64) for name, values in numbers.items()}
        return cls(**arrays, **{name: builder.build() for name, builder in strings.items()})

    @classmethod
    def concatenate(cls, parts: Sequence["Index"]) -> "Index":
        """Concatenates indexes; the numbers of their splits and shards stay as they are."""
        columns = {}
        for field in dataclasses.fields(cls):
            own = [getattr(part, field.name) for part in parts]
            if field.name in checks.STRING_COLUMNS:
                columns[field.name] = StringArray.concatenate(own)
            elif field.name in ROWS:
                rows = shift_concatenate([rows[1:] for rows in own], [int(rows[-1]) for rows in own])
                columns[field.name] = np.concatenate([[0], rows])
            else:
                columns[field.name] = np.concatenate(own)
        return cls(**columns)

    @classmethod
    def of_columns(cls, columns: dict[str, np.ndarray]) -> "Index":
        """Makes an index of the columns of a file, which `checks.check_index` has accepted."""
        values = {
            field.name: StringArray(columns[field.name], columns[field.name + ENDS])
            if field.name in checks.STRING_COLUMNS
            else columns[field.name]
            for field in dataclasses.fields(cls)
        }
        return cls(**values)

    @classmethod
    def names(cls) -> list[str]:
        """The names of the columns in the file."""
        fields = [field.name for field in dataclasses.fields(cls)]
        return [
            name for field in fields for name in ((field, field + ENDS) if field in checks.STRING_COLUMNS else (field,))
        ]

    def columns(self) -> dict[str, np.ndarray]:
        """The columns as they lie in the file, numbers as int64, the inverse of `of_columns`."""
        found = {}
        for name, column in vars(self).items():
            if isinstance(column, StringArray):
                found |= {name: column.data, name + ENDS: column.ends.astype(np.int64, copy=False)}
            else:
                found[name] = column.astype(np.int64, copy=False)
        return found

    def __len__(self) -> int:
        return len(self.id)

    @property
    def has_columns(self) -> bool:
        """Whether any clip has columns of the corpus's table."""
        return len(self.column_name) > 0

    def row(self, record: int) -> Row:
        """The row of one record."""
        rows = slice(self.word_rows[record], self.word_rows[record + 1])
        words = zip(self.word_text[rows], self.word_start[rows].tolist(), self.word_stop[rows].tolist(), strict=True)
        own = slice(self.column_rows[record], self.column_rows[record + 1])
        columns = tuple(zip(self.column_name[own], self.column_value[own], strict=True))
        strings = {name: getattr(self, name)[record] for name in STRINGS}
        numbers = {name: int(getattr(self, name)[record]) for name in NUMBERS}
        return Row(**strings, **numbers, words=tuple(Word(*word) for word in words), columns=columns)
