import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.records import checks, directory
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from tests import datasets


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetDir:
    """Two shards of two clips, and one; four of them with a column `room`."""
    clips = [datasets.clip(f"s1/c{n}", 10 + n, seed=n) for n in range(5)]
    clips[1:] = [dataclasses.replace(clip, columns=(("room", "a"),)) for clip in clips[1:]]
    return datasets.write_dataset(tmp_path / "ds", {"train": [clips[:2], clips[2:4]], "val": [clips[4:]]})


def put(tree: Any, keys: tuple, value: Any) -> Any:
    """A copy of a JSON value with another value at a place; `...` takes the key away."""
    tree = copy.deepcopy(tree)
    inner = tree
    for key in keys[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return tree


FIRST = ("splits", "train", "shards", 0)


@pytest.mark.parametrize(
    ("keys", "value", "match"),
    [
        (("conversion",), ..., "not the manifest of a conversion"),
        (("conversion",), 3, "conversion: want a dict, got '3'"),
        (("conversion", "encoding", "name"), "mp3", "conversion.encoding: encoding: want raw, jpeg or png, got 'mp3'"),
        (("conversion", "encoding", "quality"), True, "conversion.encoding.quality: want a int, got 'True'"),
        (("conversion", "encoding", "pickle"), "x", "conversion.encoding: .*unexpected keyword argument 'pickle'"),
        (("conversion", "fps"), "25", "conversion.fps: want a number"),
        (("conversion", "fps"), 0, "conversion.fps: want a number above 0, got 0"),
        (("conversion", "fps"), float("nan"), "conversion.fps: want a number above 0, got nan"),
        (("vocabulary",), ..., "vocabulary: want a dict, got 'None'"),
        (("vocabulary", "words", 1), 7, r"vocabulary.words\[1\]: want a str, got '7'"),
        (("splits",), [], "splits: want a dict"),
        (("splits", "val"), None, "splits.val: want a dict, got 'None'"),
        ((*FIRST, "file"), ..., r"splits.train.shards\[0\].file: want a str"),
        ((*FIRST, "bytes"), "9", r"splits.train.shards\[0\].bytes: want a int, got '9'"),
        ((*FIRST, "file"), "../evil", r"shard '\.\./evil': want the name of a file beside the manifest"),
        ((*FIRST, "file"), "/etc/passwd", "shard '/etc/passwd': want the name"),
        ((*FIRST, "file"), "s3://bucket/a", "shard 's3://bucket/a': want the name"),
        ((*FIRST, "file"), "..", r"shard '\.\.': want the name"),
        ((*FIRST, "file"), "", "shard '': want the name"),
        ((*FIRST, "file"), "a\0b", r"shard 'a\\x00b': want the name"),
        ((*FIRST, "file"), "\ud800", r"shard '\\ud800': want the name"),
        ((*FIRST, "file"), "tiny-train.tfrecord-00001-of-00002", "shard 'tiny.*' is listed twice"),
        (("index",), {}, "index.sha256: want a str, got 'None'"),
        (("schema_version",), "2", "schema_version 2, this program reads 3"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused(dataset: DatasetDir, keys: tuple, value: Any, match: str) -> None:
    path = dataset.root / directory.MANIFEST
    path.write_text(json.dumps(put(dataset.manifest, keys, value)))
    with pytest.raises(DataError, match=rf"manifest\.json: {match}"):
        directory.open_dataset(dataset.root)


@pytest.mark.parametrize("text", ["[" * 100_000, "\xff", '{"conversion": NaN', "1" * 5000])
def test_what_is_no_json_is_refused(dataset: DatasetDir, text: str) -> None:
    (dataset.root / directory.MANIFEST).write_text(text, "latin-1")
    with pytest.raises(DataError, match=r"manifest\.json: not JSON"):
        directory.open_dataset(dataset.root)


def change(name: str, place: int, value: Any) -> Callable[[dict], None]:
    def apply(columns: dict[str, np.ndarray]) -> None:
        columns[name][place] = value

    return apply


def recast(name: str, to: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict], None]:
    def apply(columns: dict[str, np.ndarray]) -> None:
        columns[name] = to(columns[name])

    return apply


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (recast("length", lambda c: c[:-1]), "column length: want 5 rows as of id_ends"),
        (recast("word_stop", lambda c: c[:-1]), "column word_stop: want 15 rows as of word_text_ends"),
        (recast("word_rows", lambda c: c[:-1]), "column word_rows: want a row for each record and one more"),
        (recast("frames", lambda c: c.astype(float)), "column frames: want one axis of int64"),
        (recast("frames", lambda c: c.astype(np.int8)), "column frames: want one axis of int64"),
        (recast("offset", lambda c: c[:, None]), "column offset: want one axis of int64"),
        (recast("id", lambda c: c.astype(int)), "column id: want one axis of uint8"),
        (recast("id_ends", lambda c: c.astype(">i8")), "column id_ends: want one axis of int64"),
        (recast("text_ends", lambda c: c[:-1]), "column text_ends: want 5 rows as of id_ends"),
        (change("text_ends", 0, -1), "column text_ends: want it to rise from 0"),
        (change("text_ends", 1, 2**62), "column text_ends: want it to rise from 0"),
        (change("speaker_ends", -1, 11), "column speaker_ends: want it to end at 10"),
        (recast("word_text", lambda c: c[:-1]), "column word_text_ends: want it to end at 39"),
        (change("text", 7, 0xFF), "column text: want UTF-8 in every row"),
        (change("text", -1, 0xC3), "column text: want UTF-8 in every row"),
        (change("text", slice(9, 11), [0xC3, 0xA9]), "column text: want UTF-8 in every row"),
        (change("word_rows", 0, 1), "column word_rows: want it to rise from 0"),
        (change("word_rows", 2, -5), "column word_rows: want it to rise from 0"),
        (change("word_rows", -1, 99), "column word_rows: want it to end at 15"),
        (change("shard", 0, -1), "want shard numbers 0 to 2"),
        (change("shard", 4, 3), "want shard numbers 0 to 2"),
        (change("shard", 0, 1), "want the records in the order of their shards"),
        (change("shard", 2, 0), "want as many records per shard"),
        (change("split", 4, 0), "a record is of another split than its shard"),
        (change("length", 1, 2**40), "a record is longer than its shard"),
        (change("length", 1, -1), "a record is longer than its shard"),
        (change("offset", 0, -1), "want records end to end"),
        (change("offset", 3, 7), "want records end to end"),
        (change("length", 3, 125_500), "want records up to the end of their shard"),
        (change("frames", 0, 2**60), "a record has more frames than bytes for them"),
        (change("frames", 0, 0), "a record has more frames than bytes for them"),
        (change("tracked", 0, 11), "want 0 <= tracked <= frames"),
        (change("doubt", 0, 101), "want -1 <= doubt <= 100"),
        (recast("column_name", lambda c: c.astype(int)), "column column_name: want one axis of uint8"),
        (change("column_name_ends", 0, 0), "a column has no name"),
        (recast("column_value_ends", lambda c: c[:-1]), "column column_value_ends: want 4 rows as of column_name_ends"),
        (change("column_value", 0, 0xFF), "column column_value: want UTF-8 in every row"),
        (recast("column_rows", lambda c: c[:-1]), "column column_rows: want a row for each record and one more"),
        (change("column_rows", 1, 2**40), "column column_rows: want it to rise from 0"),
        (change("column_rows", 3, 0), "column column_rows: want it to rise from 0"),
        (change("column_rows", slice(1, None), 0), "column column_rows: want it to end at 4"),
        (change("word_start", 0, -1), "want words that begin in their clips"),
        (change("word_stop", 0, 1), "want words that begin in their clips"),
        (change("id", 9, ord("0")), "an id comes twice"),
    ],
)
def test_an_index_that_breaks_a_rule_is_refused(dataset: DatasetDir, spoil: Callable[[dict], None], match: str) -> None:
    columns = {name: column.copy() for name, column in dataset.index.columns().items()}
    spoil(columns)
    with pytest.raises(DataError, match=rf"index\.npz: {match}.*; restore it or convert again"):
        checks.check_index(dataset.root / directory.INDEX, columns, dataset.manifest)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\5\6" + bytes(18), b"\x93NUMPY\1\0\6\0{'a':"])
def test_another_file_is_no_index(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"index\.npz: (not an index|want the columns)"):
        directory.load_index(path := tmp_path / "index.npz", path.read_bytes(), {})


def test_an_array_alone_or_other_columns_are_no_index(tmp_path: Path) -> None:
    with (tmp_path / "array").open("wb") as file:
        np.save(file, np.arange(3))
    np.savez(tmp_path / "other.npz", id=np.arange(3))
    with pytest.raises(DataError, match="array: not an index"):
        directory.load_index(path := tmp_path / "array", path.read_bytes(), {})
    with pytest.raises(DataError, match=r"want the columns split, shard, .*, got id; convert again"):
        directory.load_index(path := tmp_path / "other.npz", path.read_bytes(), {})
