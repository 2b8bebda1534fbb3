"""The index of a dataset: what is known of each record without opening its shard, as columns."""

import dataclasses
from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.records import checks
from pipeline.records.strings import Packer, Texts
from pipeline.schema import Clip, Word

ENDS = "_ends"  # behind the name of a column of texts: the name in the file of where each ends


@dataclasses.dataclass(frozen=True)
class Row:
    """What the index keeps of a record: where it lies, and what the plan and the statistics need."""

    id: str
    speaker: str
    text: str
    offset: int  # bytes from the shard's start to the record's header
    length: int  # bytes of the payload
    frames: int
    tracked: int  # frames where the mouth was found
    words: tuple[Word, ...]

    @classmethod
    def of(cls, clip: Clip, offset: int, length: int) -> "Row":
        tracked = int(clip.tracked.sum())
        return cls(clip.id, clip.speaker, clip.text, offset, length, len(clip.frames), tracked, clip.words)


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
    """The rows of a dataset as columns, N records with W words in all, in shard order.

    Attributes:
      split, shard, offset, length, frames, tracked: int64 [N]; `split` and `shard` count within the manifest's lists.
      id, speaker, text: N texts.
      word_rows: int64 [N + 1]; record n has the words `word_rows[n]:word_rows[n + 1]`.
      word_text: W texts. word_start, word_stop: int64 [W], frames.
    """

    split: np.ndarray
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    frames: np.ndarray
    tracked: np.ndarray
    id: Texts
    speaker: Texts
    text: Texts
    word_rows: np.ndarray
    word_text: Texts
    word_start: np.ndarray
    word_stop: np.ndarray

    @classmethod
    def of(cls, shards: Iterable[tuple[int, int, Iterable[Row]]]) -> "Index":
        """From `(split, shard, rows)` in order, of which memory holds no more than one row beside the columns."""
        texts = {name: Packer() for name in checks.TEXTS}
        numbers = {name: array("q") for name in (*checks.NUMBERS, "word_rows", "word_start", "word_stop")}
        numbers["word_rows"].append(0)
        for split, shard, rows in shards:
            for row in rows:
                for column, value in (("split", split), ("shard", shard)):
                    numbers[column].append(value)
                for column in ("offset", "length", "frames", "tracked"):
                    numbers[column].append(getattr(row, column))
                for column in ("id", "speaker", "text"):
                    texts[column].append(getattr(row, column))
                for word in row.words:
                    texts["word_text"].append(word.text)
                    numbers["word_start"].append(word.start)
                    numbers["word_stop"].append(word.stop)
                numbers["word_rows"].append(len(numbers["word_start"]))
        arrays = {name: np.frombuffer(values, np.int64) for name, values in numbers.items()}
        return cls(**arrays, **{name: packer.packed() for name, packer in texts.items()})

    @classmethod
    def joined(cls, parts: Sequence["Index"]) -> "Index":
        """The rows of one index after the other's, with the numbers of splits and shards that they have."""
        columns = {}
        for field in dataclasses.fields(cls):
            own = [getattr(part, field.name) for part in parts]
            if field.name in checks.TEXTS:
                data = np.concatenate([texts.data for texts in own])
                columns[field.name] = Texts(data, after([t.ends for t in own], [len(t.data) for t in own]))
            elif field.name == "word_rows":
                rows = after([rows[1:] for rows in own], [len(part.word_start) for part in parts])
                columns[field.name] = np.concatenate([[0], rows])
            else:
                columns[field.name] = np.concatenate(own)
        return cls(**columns)

    @classmethod
    def of_columns(cls, columns: dict[str, np.ndarray]) -> "Index":
        """From what lies in the file and `checks.check_index` has passed."""
        values = {
            field.name: Texts(columns[field.name], columns[field.name + ENDS])
            if field.name in checks.TEXTS
            else columns[field.name]
            for field in dataclasses.fields(cls)
        }
        return cls(**values)

    @classmethod
    def names(cls) -> list[str]:
        """Of the columns in the file."""
        fields = [field.name for field in dataclasses.fields(cls)]
        return [name for field in fields for name in ((field, field + ENDS) if field in checks.TEXTS else (field,))]

    def columns(self) -> dict[str, np.ndarray]:
        """As they lie in the file; the inverse of `of_columns`."""
        found = {}
        for name, column in vars(self).items():
            found |= {name: column.data, name + ENDS: column.ends} if isinstance(column, Texts) else {name: column}
        return found

    def __len__(self) -> int:
        return len(self.id)

    def row(self, record: int) -> Row:
        rows = slice(self.word_rows[record], self.word_rows[record + 1])
        words = zip(self.word_text[rows], self.word_start[rows].tolist(), self.word_stop[rows].tolist(), strict=True)
        texts = (getattr(self, name)[record] for name in ("id", "speaker", "text"))
        numbers = (int(getattr(self, name)[record]) for name in ("offset", "length", "frames", "tracked"))
        return Row(*texts, *numbers, tuple(Word(*word) for word in words))


def after(columns: Sequence[np.ndarray], counts: Sequence[int]) -> np.ndarray:
    """One column of several whose numbers count from 0, each from where the one before ended."""
    firsts = np.cumsum([0, *counts[:-1]])
    return np.concatenate([column + first for column, first in zip(columns, firsts, strict=True)])
