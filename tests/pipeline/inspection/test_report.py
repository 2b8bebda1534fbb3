import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.conversion.progress import Rejected
from pipeline.inspection import report
from pipeline.records import directory
from pipeline.records.directory import DatasetDir
from pipeline.schema import DataError
from tests import datasets

HEADER = "id,source,reason,detail\n"


def test_splits_are_counted(tiny: Callable[[str], DatasetDir]) -> None:
    # clip n has 10 + n % 7 frames, speaker n % 3; 13 and 14 are the validation clips
    train, val = report.splits(tiny("raw"))
    length = tiny("raw").index.length
    assert train == report.Split("train", 13, 3, 166 / 25 / 3600, 39, 3, int(length[:13].sum()))
    assert val == report.Split("val", 2, 2, 26 / 25 / 3600, 6, 3, int(length[13:].sum()))


def test_speakers_that_are_not_named_are_none(tmp_path: Path) -> None:
    clips = [dataclasses.replace(datasets.clip(f"a{n}", 9), speaker=("", "s1")[n // 2]) for n in range(3)]
    (train,) = report.splits(datasets.write_dataset(tmp_path, {"train": [clips]}))
    assert train.speakers == 1


def test_the_worst_tracked_come_first(tmp_path: Path) -> None:
    lost = {"s1/a": 2, "s1/b": 0, "s1/c": 5, "s1/d": 2, "s1/e": 1}
    clips = [
        dataclasses.replace(datasets.clip(name, 10), tracked=np.arange(10) >= frames) for name, frames in lost.items()
    ]
    index = datasets.write_dataset(tmp_path, {"train": [clips[::-1]]}).index
    np.testing.assert_array_equal(report.tracked(index), [0.9, 0.8, 0.5, 1.0, 0.8])
    assert index.id[report.worst_tracked(index, 9)].tolist() == ["s1/c", "s1/a", "s1/d", "s1/e"]
    assert index.id[report.worst_tracked(index, 2)].tolist() == ["s1/c", "s1/a"]


def test_the_first_rejects_of_each_reason_are_listed(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    dataset = dataclasses.replace(tiny("raw"), root=tmp_path)
    assert report.rejects(dataset, 2) == []
    rows = [f'{n},{n}.mp4,{"no_face" if n % 4 else "crashed"},"said ""no"",\non frame {n}"\n' for n in range(9)]
    (tmp_path / directory.REJECTED).write_text(HEADER + "".join(rows))
    assert [(row.id, row.reason) for row in report.rejects(dataset, 2)] == [
        ("0", "crashed"),
        ("1", "no_face"),
        ("2", "no_face"),
        ("4", "crashed"),
    ]
    assert report.rejects(dataset, 1)[1] == Rejected("1", "1.mp4", "no_face", 'said "no",\non frame 1')


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", 0),
        (b"id,reason\n", 1),
        (HEADER.encode() + b"a,b,c,d\na,b,c\n", 3),
        (HEADER.encode() + b"a,b,c,d,e\n", 2),
        (HEADER.encode() + b'a,b,c,"d\n', 2),
        (HEADER.encode() + b"a,b,c," + b"d" * 200_000 + b"\n", 2),
        (b"\xff" + HEADER.encode(), 0),
    ],
    ids=["empty", "header", "short", "long", "quote", "huge", "not UTF-8"],
)
def test_a_list_of_rejects_that_is_none(
    tiny: Callable[[str], DatasetDir], tmp_path: Path, content: bytes, line: int
) -> None:
    (tmp_path / directory.REJECTED).write_bytes(content)
    with pytest.raises(DataError, match=rf"rejected\.csv line {line}: want id,source,reason,detail .*; restore it$"):
        report.rejects(dataclasses.replace(tiny("raw"), root=tmp_path), 5)


def test_runs_are_flat(tiny: Callable[[str], DatasetDir], tmp_path: Path) -> None:
    dataset = dataclasses.replace(tiny("raw"), root=tmp_path)
    assert report.runs(dataset) == []
    runs = [{"ended": "stopped", "clips": {"converted": 3}}, {"ended": "finished", "flags": {"workers": 2}}]
    (tmp_path / report.CONVERSION).write_text(json.dumps({"runs": runs}))
    assert report.runs(dataset) == [
        {"ended": "stopped", "clips.converted": 3},
        {"ended": "finished", "flags.workers": 2},
    ]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"runs": [1]}', '{"runs": 3}', "[" * 100_000])
def test_a_journal_that_is_none(tiny: Callable[[str], DatasetDir], tmp_path: Path, content: str) -> None:
    (tmp_path / report.CONVERSION).write_text(content)
    with pytest.raises(DataError, match=r"conversion\.json: not as a conversion writes it .*restore or remove it"):
        report.runs(dataclasses.replace(tiny("raw"), root=tmp_path))


def test_nothing_is_counted_in_nothing(tmp_path: Path) -> None:
    dataset = datasets.write_dataset(tmp_path, {"train": [[]]})
    assert report.splits(dataset) == [report.Split("train", 0, 0, 0.0, 0, 0, 0)]
    assert report.worst_tracked(dataset.index, 5).tolist() == []
    assert report.words(dataset.index.text) == []
