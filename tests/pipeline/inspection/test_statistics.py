import dataclasses
from collections.abc import Callable
from pathlib import Path

from pipeline.inspection import statistics
from pipeline.records.directory import DatasetDir
from pipeline.records.strings import StringArray
from tests import datasets


def test_the_numbers_are_those_of_the_index(tiny: Callable[[str], DatasetDir]) -> None:
    # 15 clips of 10 + n % 7 frames, frame 3 of each not tracked, three words of 3, 4 and 2 frames
    assert statistics.summary(tiny("raw")) == [
        ("records", "15 in 4 shards"),
        ("  train", "13 records, 3 speakers"),
        ("  val", "2 records, 2 speakers"),
        ("frames", "10 to 16, median 13 (0.52 s at 25 fps)"),
        ("tracked", "92.19% of 192 frames"),
        ("doubtful", f"5 clips ({datasets.CAUSE}: 5)"),
        ("bytes a record", f"{tiny('raw').index.length.mean():,.0f} (raw)"),
        ("speakers", "s0 5, s1 5, s2 5"),
        ("words", "45 aligned, 3 distinct"),
        ("  of them", "at 15, bin 15, now 15"),
        ("word frames", "2 to 4, median 3 (0.12 s at 25 fps)"),
        ("rejected", "none"),
    ]


def test_what_was_cut_or_spelled_otherwise_is_counted(tiny: Callable[[str], DatasetDir]) -> None:
    data = tiny("raw")  # 15 clips of 10 + n % 7 frames
    conversion = {**data.manifest["conversion"], "overlong": "truncate", "max_frames": 16, "unknown": "unk"}
    index = dataclasses.replace(data.index, text=StringArray.of(["a\ufffd", *data.index.text[1:]]))
    altered = dataclasses.replace(data, manifest={**data.manifest, "conversion": conversion}, index=index)
    assert statistics.summary(altered)[-2:] == [
        ("cut", "at most 2 clips: those of 16 frames"),
        ("spelled with", "\ufffd, for characters outside the alphabet: 1 clips"),
    ]
    for key in ("overlong", "unknown"):  # which manifests of the first days lack
        del conversion[key]
    assert statistics.summary(altered) == statistics.summary(data)


def test_columns_of_the_table_are_described(tmp_path: Path) -> None:
    columns = (
        [(("room", "a"), ("note", "n" * 40))] * 3 + [(("room", "b\nc"),)] + [(("room", f"r{n}"),) for n in range(5)]
    )
    clips = [dataclasses.replace(datasets.clip(f"s1/{n}", 9), columns=own) for n, own in enumerate([*columns, ()])]
    rows = statistics.summary(datasets.write_dataset(tmp_path, {"train": [clips]}))
    assert [row for row in rows if row[0].startswith("column")] == [
        ("column room", "9 clips, 7 values: a 3, b c 1, r0 1, r1 1, r2 1, and 2 more"),
        ("column note", f"3 clips, 1 values: {'n' * 30}… 3"),
    ]


def test_without_word_times(tmp_path: Path) -> None:
    clips = [datasets.clip(f"s{n}/a", 9, ()) for n in range(12)]
    rows = dict(statistics.summary(datasets.write_dataset(tmp_path, {"train": [clips]})))
    assert rows["words"] == "0 aligned, 3 distinct"
    assert rows["  of them"] == "none aligned"
    assert rows["word frames"] == "none"
    assert rows["speakers"].endswith("s7 1, and 2 more")


def test_speakers_that_are_not_named(tmp_path: Path) -> None:
    clips = [
        dataclasses.replace(datasets.clip(f"a{n}", 9), speaker=speaker) for n, speaker in enumerate(["", "", "s1"])
    ]
    rows = dict(statistics.summary(datasets.write_dataset(tmp_path, {"train": [clips], "test": [clips[:0]]})))
    assert (rows["  train"], rows["  test"]) == ("3 records, 1 speakers", "0 records, 0 speakers")
    assert rows["speakers"] == "not named 2, s1 1"
    rows = dict(statistics.summary(datasets.write_dataset(tmp_path / "nobody", {"train": [clips[:2]]})))
    assert (rows["  train"], rows["speakers"]) == ("2 records, speakers not named", "not named 2")


def test_of_an_empty_dataset(tmp_path: Path) -> None:
    rows = dict(statistics.summary(datasets.write_dataset(tmp_path, {"train": [[]]})))
    assert (rows["records"], rows["frames"], rows["speakers"]) == ("0 in 1 shards", "none", "none")


def test_names_are_counted() -> None:
    assert statistics.counted(["b", "a", "c", "c"]) == [("c", 2), ("a", 1), ("b", 1)]


def test_the_best_guess_is_the_commonest_word_of_each_place() -> None:
    assert statistics.best_guess(["bin blue", "bin red", "lay red now"]) == (2 + 2 + 1) / 7
